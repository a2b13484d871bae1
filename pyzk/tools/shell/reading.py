"""Commands that change nothing: ls, get, stat, getAcl, config and the like.

A command prints its text and returns its value for --json.
"""

import base64
from collections.abc import AsyncIterator

from pyzk import VERSION_WORD
from pyzk.client.aio_watch import Watcher
from pyzk.client.calls import request_error
from pyzk.codec.jute import Reader
from pyzk.codec.opcodes import OpCode
from pyzk.codec.records import Stat
from pyzk.codec.replies import DataReply
from pyzk.codec.requests import PathWatchRequest
from pyzk.errors import ConfigError, NoNodeError
from pyzk.tools.javatext import PROPERTIES_CAPACITY, hash_order, string_hash, string_order, text_of
from pyzk.tools.shell.options import CommandError, Given
from pyzk.tools.shell.session import Session
from pyzk.tools.shell.texts import (
    RequestFailedError,
    acl_lines,
    hex_dump,
    permission_letters,
    require_path,
    stat_lines,
    stat_value,
)

CONFIG_PATH = "/zookeeper/config"


async def ls(session: Session, given: Given) -> object:
    """Children; -s Stat, -w watch, -R all below."""
    path = require_path(given.word(1))
    watcher = _watcher(session, given)
    if "R" in given:
        return await _list_all(session, path, watcher)
    if "s" in given:
        children, stat = await session.ask(path, session.client.get_children2, path, watcher)
    else:
        children, stat = await session.ask(path, session.client.get_children, path, watcher), None
    children.sort(key=string_order)
    session.screen.say(f"[{', '.join(children)}]")
    return {"path": path, "children": children, **_with_stat(session, stat)}


async def _list_all(session: Session, path: str, watcher: Watcher | None) -> object:
    paths = []
    async for found in walk(session, path, watcher):
        session.screen.say(found)
        paths.append(found)
    return {"path": path, "paths": paths}


async def walk(session: Session, path: str, watcher: Watcher | None = None) -> AsyncIterator[str]:
    """The path, then for each znode its children, then what is below each of them: ZKUtil.visitSubTreeDFS."""
    await session.ask(path, session.client.get, path, watcher)
    yield path
    waiting = [path]
    while waiting:
        parent = waiting.pop()
        try:
            children = await session.ask(parent, session.client.get_children, parent, watcher)
        except RequestFailedError as failure:
            if isinstance(failure.error, NoNodeError):
                continue
            raise
        below = [f"{parent.rstrip('/')}/{name}" for name in sorted(children, key=string_order)]
        for child in below:
            yield child
        waiting += reversed(below)


async def get(session: Session, given: Given) -> object:
    """Data; -s Stat, -w watch, -b Base64, -x hex dump."""
    path = require_path(given.word(1))
    data, stat = await session.ask(path, session.client.get, path, _watcher(session, given))
    shown = b"null" if data is None else data
    if "x" in given:
        session.screen.say(hex_dump(shown))
    elif "b" in given:
        session.screen.say(base64.b64encode(shown).decode())
    else:
        session.screen.say(text_of(shown))
    return {"path": path, **data_value(data), **_with_stat(session, stat if "s" in given else None)}


def data_value(data: bytes | None) -> dict[str, object]:
    """Data for --json: text if it is UTF-8, Base64 if not."""
    try:
        return {"data": None if data is None else data.decode()}
    except UnicodeDecodeError:
        return {"data_base64": base64.b64encode(data or b"").decode()}


async def stat(session: Session, given: Given) -> object:
    """The Stat; -w watch."""
    path = require_path(given.word(1))
    found = await session.ask(path, session.client.exists, path, _watcher(session, given))
    if found is None:
        raise RequestFailedError(NoNodeError(path), path)
    return {"path": path, **_with_stat(session, found)}


async def get_acl(session: Session, given: Given) -> object:
    """The ACL; -s Stat."""
    path = require_path(given.word(1))
    entries, found = await session.ask(path, session.client.get_acl, path)
    for entry in entries:
        session.screen.say(acl_lines(entry))
    value = [
        {"scheme": text_of(entry.scheme), "id": text_of(entry.id), "perms": permission_letters(entry.perms)}
        for entry in entries
    ]
    return {"path": path, "acl": value, **_with_stat(session, found if "s" in given else None)}


async def get_all_children_number(session: Session, given: Given) -> object:
    """How many descendants."""
    path = require_path(given.word(1))
    count = await session.ask(path, session.client.get_all_children_number, path)
    session.screen.say(str(count))
    return {"path": path, "count": count}


async def get_ephemerals(session: Session, given: Given) -> object:
    """This session's ephemeral znodes."""
    prefix = require_path(given.word(1, "/"))
    paths = await session.ask(prefix, session.client.get_ephemerals, prefix)
    session.screen.say(f"[{', '.join(paths)}]")
    return {"paths": paths}


async def whoami(session: Session, given: Given) -> object:
    """The identities of the connection."""
    del given
    identities = await session.ask(None, session.client.whoami)
    session.screen.say("Auth scheme: User")
    for identity in identities:
        session.screen.say(f"{identity.scheme}: {identity.user}")
    return {"identities": [{"scheme": identity.scheme, "user": identity.user} for identity in identities]}


async def version(session: Session, given: Given) -> object:
    """The version of this shell."""
    if len(given.words) > 1:
        raise CommandError("version ")
    session.screen.say(f"ZooKeeper CLI version: {VERSION_WORD}")
    return {"version": VERSION_WORD}


async def sync(session: Session, given: Given) -> object:
    """Wait until this server has seen every write before now."""
    path = require_path(given.word(1))
    try:
        await session.ask(path, session.client.sync, path)
    except RequestFailedError as failure:
        session.screen.say(f"Sync has failed. rc={failure.code}")
        return {"path": path, "code": failure.code}
    session.screen.say("Sync is OK")
    return {"path": path, "code": 0}


async def config(session: Session, given: Given) -> object:
    """The ensemble's configuration; -c for clients, -s Stat, -w watch."""
    data, found = await session.ask(CONFIG_PATH, _config_data, session, _watcher(session, given))
    text = "null" if data is None else text_of(data)
    session.screen.say(client_string(text) if "c" in given else text)
    value = {"client_string": client_string(text)} if "c" in given else {"config": text}
    return {**value, **_with_stat(session, found if "s" in given else None)}


async def _config_data(session: Session, watcher: Watcher | None) -> tuple[bytes | None, Stat]:
    if "/" not in session.client.hosts:
        return await session.client.get(CONFIG_PATH, watcher)
    # The configuration is at the real root, beside every chroot; a watch there has no name inside one.
    body = PathWatchRequest(CONFIG_PATH.encode(), watch=False).encode()
    header, reply = await session.client.raw(OpCode.GET_DATA, body)
    if header.err:
        raise request_error(header.err, CONFIG_PATH)
    decoded = DataReply.decode(Reader(reply))
    return decoded.data, decoded.stat


def client_string(text: str) -> str:
    """`VERSION host:port,host:port`, for a client's connection string; servers without a client address are empty.

    The order is that of Java's Properties.
    """
    from pyzk.zab.membership import parse_text  # noqa: PLC0415 - one command wants it
    from pyzk.zab.properties import parse_properties  # noqa: PLC0415 - same

    try:
        clients = {f"server.{server.server_id}": server.client for server in parse_text(text).servers}
        entries = {entry.key: entry.value for entry in parse_properties(text, "configuration")}
    except ConfigError:
        return " "
    ordered = hash_order([(string_hash(key), key) for key in entries], PROPERTIES_CAPACITY)
    found = [clients[key] for key in ordered if key in clients]
    addresses = ["" if client is None else f"{client[0]}:{client[1]}" for client in found]
    return f"{entries.get('version', '')} {','.join(addresses)}"


def _watcher(session: Session, given: Given) -> Watcher | None:
    return session.watcher if "w" in given else None


def _with_stat(session: Session, found: Stat | None) -> dict[str, object]:
    """Print a Stat that was asked for, and give it to the value."""
    if found is None:
        return {}
    session.screen.say(stat_lines(found))
    return {"stat": stat_value(found)}
