// node-zookeeper-client against one server: `node node_client.js HOST:PORT`, prints a transcript.
'use strict';

const zookeeper = require('node-zookeeper-client');
const { CreateMode, Permission, ACL, Id, State } = zookeeper;

const hosts = process.argv[2];
const events = [];
const watchers = [];

function connect(options) {
  const client = zookeeper.createClient(hosts, { sessionTimeout: 10000, retries: 1, ...options });
  const connected = new Promise((resolve) => client.once('connected', () => resolve(client)));
  client.connect();
  return connected;
}

// The client's functions take a callback (error, ...results) last; a result becomes one line of text.
function call(client, name, ...args) {
  return new Promise((resolve) => {
    client[name](...args, (error, ...results) => {
      resolve(error ? `${name}: ${error.getName ? error.getName() : error.message}` : `${name}: ${results.map(show).join(' ')}`);
    });
  });
}

function show(value) {
  if (value === null || value === undefined) return String(value);
  if (Buffer.isBuffer(value)) return value.length > 100 ? `${value.length} bytes` : JSON.stringify(value.toString());
  if (Array.isArray(value)) return `[${value.map(show).sort().join(', ')}]`;
  if (value.czxid) return showStat(value);
  if (value.id && value.id.scheme) return `${value.id.scheme}:${value.id.id}:${value.permission}`;
  if (value.type !== undefined) return `${value.type}:${value.path || ''}:${value.err === undefined ? '' : value.err}`;
  return String(value);
}

function showStat(stat) {
  const zxid = (buffer) => buffer.readBigInt64BE(0);
  const owner = zxid(stat.ephemeralOwner) === 0n ? 'nobody' : 'somebody';
  return `czxid=${zxid(stat.czxid)} mzxid=${zxid(stat.mzxid)} pzxid=${zxid(stat.pzxid)} version=${stat.version}` +
    ` cversion=${stat.cversion} aversion=${stat.aversion} owner=${owner} length=${stat.dataLength}` +
    ` children=${stat.numChildren}`;
}

function watcher() {
  let tell;
  watchers.push(new Promise((resolve) => { tell = resolve; }));
  return (event) => { events.push(`${event.getName()} ${event.getPath()}`); tell(); };
}

async function told() {
  await Promise.all(watchers.splice(0));
  return events.splice(0).sort();
}

const print = (...lines) => lines.forEach((line) => console.log(line));

async function createAndRead(client) {
  print('== create and read');
  print(await call(client, 'create', '/n', Buffer.from('data')));
  print(await call(client, 'create', '/n', Buffer.from('again')));
  print(await call(client, 'create', '/missing/child'));
  print(await call(client, 'create', '/n/null'));
  print(await call(client, 'create', '/n/s-', CreateMode.PERSISTENT_SEQUENTIAL));
  print(await call(client, 'create', '/n/e', Buffer.from('mine'), CreateMode.EPHEMERAL));
  print(await call(client, 'create', '/n/es-', CreateMode.EPHEMERAL_SEQUENTIAL));
  print(await call(client, 'create', '/n/e/child'));
  print(await call(client, 'mkdirp', '/n/a/b/c'));
  print(await call(client, 'getData', '/n'));
  print(await call(client, 'getData', '/n/null'));
  print(await call(client, 'getData', '/missing'));
  print(await call(client, 'exists', '/n/e'));
  print(await call(client, 'exists', '/missing'));
  print(await call(client, 'getChildren', '/n'));
  print(await call(client, 'getChildren', '/missing'));
  print(await call(client, 'listSubTreeBFS', '/n/a'));
}

async function write(client) {
  print('== write');
  print(await call(client, 'setData', '/n', Buffer.from('one'), -1));
  print(await call(client, 'setData', '/n', Buffer.from('two'), 1));
  print(await call(client, 'setData', '/n', Buffer.from('three'), 1));
  print(await call(client, 'setData', '/n', Buffer.alloc(1000000, 'x')));
  print(await call(client, 'getData', '/n'));
  print(await call(client, 'remove', '/n', -1));
  print(await call(client, 'remove', '/n/null', 5));
  print(await call(client, 'remove', '/n/null', 0));
  print(await call(client, 'remove', '/missing'));
  print(await call(client, 'removeRecursive', '/n/a', -1));
  print(await call(client, 'getChildren', '/n'));
}

async function accessControl(client) {
  print('== access control');
  const bob = new ACL(Permission.ALL, new Id('digest', 'bob:WGAwC+XYxdw8bJ5K6KcPh8oL58U='));
  print(await call(client, 'getACL', '/n'));
  print(await call(client, 'create', '/locked', Buffer.from('secret'), [bob], CreateMode.PERSISTENT));
  print(await call(client, 'getData', '/locked'));
  print(await call(client, 'getACL', '/locked'));
  client.addAuthInfo('digest', Buffer.from('bob:bobsecret'));
  print(await call(client, 'getData', '/locked'));
  print(await call(client, 'setACL', '/locked', ACL.READ_ACL_UNSAFE, 0));
  print(await call(client, 'setACL', '/locked', ACL.OPEN_ACL_UNSAFE, 0));
  print(await call(client, 'setData', '/locked', Buffer.from('x')));
  print(await call(client, 'create', '/wrong', null, [new ACL(Permission.ALL, new Id('nonsense', 'x'))], CreateMode.PERSISTENT));
}

async function transactions(client) {
  print('== transactions');
  const good = client.transaction().create('/t').create('/t/a', Buffer.from('1')).setData('/t', Buffer.from('2'), 0)
    .check('/t', 1).remove('/t/a', -1);
  print(await new Promise((resolve) => good.commit((error, results) => resolve(error ? error.getName() : show(results)))));
  print(await call(client, 'exists', '/t'));
  const bad = client.transaction().create('/t/b').check('/t', 9).remove('/t', -1);
  print(await new Promise((resolve) => bad.commit((error, results) => resolve(`${error.getName()} ${show(results)}`))));
  print(await call(client, 'getChildren', '/t'));
}

async function watches(client) {
  print('== watches');
  await call(client, 'create', '/w');
  await call(client, 'getData', '/w', watcher());
  await call(client, 'getChildren', '/w', watcher());
  await call(client, 'exists', '/w/child', watcher());
  await call(client, 'setData', '/w', Buffer.from('1'));
  await call(client, 'create', '/w/child');
  print(...await told());
  await call(client, 'exists', '/w/child', watcher());
  await call(client, 'getChildren', '/w/child', watcher());
  await call(client, 'remove', '/w/child');
  print(...await told());
}

// The socket is cut under the client: the same session, its watches and its ephemeral nodes come back by themselves.
async function reconnect(client) {
  print('== reconnect');
  const before = client.getSessionId().toString('hex');
  await call(client, 'create', '/r', CreateMode.EPHEMERAL);
  await call(client, 'getData', '/w', watcher());
  const again = new Promise((resolve) => client.once('connected', resolve));
  client.connectionManager.socket.destroy();
  await again;
  print(`same session: ${client.getSessionId().toString('hex') === before}`);
  print(await call(client, 'exists', '/r'));
  print(await call(client, 'setData', '/w', Buffer.from('2')));
  print(...await told());
}

async function sessions(client) {
  print('== sessions');
  const other = await connect();
  print(`state: ${other.getState() === State.SYNC_CONNECTED}, timeout: ${other.getSessionTimeout()}`);
  print(await call(other, 'create', '/o', CreateMode.EPHEMERAL));
  await call(client, 'exists', '/o', watcher());
  other.close();
  print(...await told());
  print(await call(client, 'exists', '/o'));
}

async function main() {
  const client = await connect();
  for (const section of [createAndRead, write, accessControl, transactions, watches, reconnect, sessions]) {
    await section(client);
  }
  client.once('disconnected', () => process.exit(0));
  client.close();
}

main();
