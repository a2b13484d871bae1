// The Java client of Apache ZooKeeper against one server: `java Conversation HOST:PORT RELAY`, with the commands "down" and
// "up" to the owner of the relay on standard output and his "done" on standard input. Prints a transcript.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.Watcher.WatcherType;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

public final class Conversation {
    private static final BufferedReader INPUT = new BufferedReader(new InputStreamReader(System.in));
    private static String server;
    private static String relay;

    /** A client, the states of its connection and the events of its watches, in order of arrival. */
    private static final class Client implements Watcher {
        final BlockingQueue<KeeperState> states = new LinkedBlockingQueue<>();
        final BlockingQueue<String> events = new LinkedBlockingQueue<>();
        final ZooKeeper zk;

        Client(String host, boolean readOnly) throws Exception {
            zk = new ZooKeeperAdmin(host, 10000, this, readOnly);
            await(KeeperState.SyncConnected);
        }

        Client(String host, long session, byte[] password) throws Exception {
            zk = new ZooKeeper(host, 10000, this, session, password);
        }

        @Override
        public void process(WatchedEvent event) {
            if (event.getType() == EventType.None) {
                states.add(event.getState());
            } else {
                events.add(event.getType() + " " + event.getPath());
            }
        }

        // Since 3.9 an event carries the zxid of its txn.
        Watcher named(String name) {
            return event -> {
                if (event.getType() != EventType.None) {
                    events.add(name + " " + event.getType() + " " + event.getPath() + " zxid=" + event.getZxid());
                }
            };
        }

        void await(KeeperState wanted) throws Exception {
            KeeperState state;
            do {
                state = states.poll(20, TimeUnit.SECONDS);
                if (state == null) {
                    throw new IllegalStateException("no " + wanted);
                }
            } while (state != wanted);
        }

        void printEvents(int count) throws Exception {
            List<String> told = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                told.add(events.poll(20, TimeUnit.SECONDS));
            }
            Collections.sort(told, Collections.reverseOrder());
            told.forEach(Conversation::print);
        }
    }

    private interface Call {
        Object run() throws Exception;
    }

    private static void print(Object value) {
        System.out.println(value);
    }

    private static void section(String name) {
        print("== " + name);
    }

    private static void show(String name, Call call) throws Exception {
        try {
            print(name + ": " + text(call.run()));
        } catch (KeeperException e) {
            print(name + ": " + e.code());
        } catch (IllegalArgumentException e) {
            print(name + ": " + e.getMessage());
        }
    }

    private static String text(Object value) {
        if (value instanceof Stat) {
            Stat s = (Stat) value;
            String owner = s.getEphemeralOwner() == 0 ? "nobody" : "somebody";
            return "czxid=" + s.getCzxid() + " mzxid=" + s.getMzxid() + " pzxid=" + s.getPzxid() + " version=" + s.getVersion()
                + " cversion=" + s.getCversion() + " aversion=" + s.getAversion() + " owner=" + owner + " length="
                + s.getDataLength() + " children=" + s.getNumChildren();
        }
        if (value instanceof byte[]) {
            byte[] data = (byte[]) value;
            return data.length > 100 ? data.length + " bytes" : new String(data, StandardCharsets.UTF_8);
        }
        if (value instanceof List) {
            List<String> items = new ArrayList<>();
            ((List<?>) value).forEach(item -> items.add(text(item)));
            if (!items.isEmpty() && !(((List<?>) value).get(0) instanceof OpResult)) {
                Collections.sort(items);
            }
            return items.toString();
        }
        if (value instanceof OpResult.CreateResult) {
            OpResult.CreateResult created = (OpResult.CreateResult) value;
            return "create " + created.getPath() + (created.getStat() == null ? "" : " " + text(created.getStat()));
        }
        if (value instanceof OpResult.SetDataResult) {
            return "set " + text(((OpResult.SetDataResult) value).getStat());
        }
        if (value instanceof OpResult.GetDataResult) {
            OpResult.GetDataResult got = (OpResult.GetDataResult) value;
            return "get " + text(got.getData()) + " " + text(got.getStat());
        }
        if (value instanceof OpResult.GetChildrenResult) {
            return "children " + text(((OpResult.GetChildrenResult) value).getChildren());
        }
        if (value instanceof OpResult.ErrorResult) {
            return "error " + ((OpResult.ErrorResult) value).getErr();
        }
        return value instanceof OpResult ? value.getClass().getSimpleName() : String.valueOf(value).trim();
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static void tellRelay(String command) throws Exception {
        print("relay: " + command);
        System.out.flush();
        INPUT.readLine();
    }

    private static void createAndRead(Client c) throws Exception {
        section("create and read");
        Stat stat = new Stat();
        show("create", () -> c.zk.create("/j", bytes("data"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, stat));
        print(text(stat));
        show("again", () -> c.zk.create("/j", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        show("orphan", () -> c.zk.create("/missing/child", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        for (CreateMode mode : CreateMode.values()) {
            long ttl = mode.isTTL() ? 3_600_000 : -1;
            show(mode.toString(), () -> c.zk.create("/j/" + mode + "-", bytes("x"), Ids.OPEN_ACL_UNSAFE, mode, stat, ttl));
            print(text(stat));
        }
        show("ttl 0", () -> c.zk.create("/j/t", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 0));
        show("null data", () -> c.zk.create("/j/null", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        show("get null", () -> c.zk.getData("/j/null", false, stat));
        show("get", () -> c.zk.getData("/j", false, stat));
        print(text(stat));
        show("exists", () -> c.zk.exists("/j/null", false));
        show("not", () -> c.zk.exists("/missing", false));
        show("children", () -> c.zk.getChildren("/j", false, stat));
        print(text(stat));
        show("number", () -> c.zk.getAllChildrenNumber("/j"));
        show("ephemerals", () -> c.zk.getEphemerals());
        show("ephemerals below", () -> c.zk.getEphemerals("/j/EPHEMERAL_"));
        show("who", () -> c.zk.whoAmI());
        show("set", () -> c.zk.setData("/j", new byte[1_000_000], 0));
        show("get", () -> c.zk.getData("/j", false, stat));
        show("bad version", () -> c.zk.setData("/j", bytes("x"), 0));
        show("delete", () -> { c.zk.delete("/j/null", 0); return "done"; });
        show("not empty", () -> { c.zk.delete("/j", -1); return "done"; });
        show("sync", () -> { CompletableFuture<String> done = new CompletableFuture<>();
            c.zk.sync("/j", (code, path, context) -> done.complete(code + " " + path), null);
            return done.get(); });
    }

    private static void transactions(Client c) throws Exception {
        section("transactions");
        show("good", () -> c.zk.multi(Arrays.asList(
            Op.create("/m", bytes("0"), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create("/m/box", null, Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER),
            Op.create("/m/ttl", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 3_600_000),
            Op.create("/m/s-", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_SEQUENTIAL),
            Op.setData("/m", bytes("1"), 0), Op.check("/m", 1), Op.delete("/m/box", -1))));
        try {
            c.zk.multi(Arrays.asList(Op.create("/m/a", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.check("/m", 7), Op.delete("/m/a", -1)));
        } catch (KeeperException e) {
            print("bad: " + e.code() + " " + text(e.getResults()));
        }
        show("reads", () -> c.zk.multi(Arrays.asList(Op.getData("/m"), Op.getChildren("/m"), Op.getData("/missing"),
            Op.getChildren("/missing"))));
    }

    private static void accessControl(Client c) throws Exception {
        section("access control");
        List<ACL> bobs = Collections.singletonList(new ACL(Perms.ALL, new Id("digest", "bob:WGAwC+XYxdw8bJ5K6KcPh8oL58U=")));
        show("create", () -> c.zk.create("/bobs", bytes("secret"), bobs, CreateMode.PERSISTENT));
        show("get", () -> c.zk.getData("/bobs", false, null));
        show("exists", () -> c.zk.exists("/bobs", false));
        show("acl", () -> c.zk.getACL("/bobs", null));
        show("nobody", () -> c.zk.create("/mine", null, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        show("nonsense", () -> c.zk.create("/x", null, Arrays.asList(new ACL(1, new Id("x", "y"))), CreateMode.PERSISTENT));
        c.zk.addAuthInfo("digest", bytes("bob:bobsecret"));
        show("get", () -> c.zk.getData("/bobs", false, null));
        show("mine", () -> c.zk.create("/mine", null, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        show("acl", () -> c.zk.getACL("/mine", null));
        show("set acl", () -> c.zk.setACL("/bobs", Ids.READ_ACL_UNSAFE, 0));
        show("set", () -> c.zk.setData("/bobs", null, -1));
        show("who", () -> c.zk.whoAmI());
        show("config", () -> c.zk.getConfig(false, null));
        show("reconfig", () -> ((ZooKeeperAdmin) c.zk).reconfigure("server.2=h:1:2;3", null, null, -1, null));
    }

    private static void watches(Client c) throws Exception {
        section("watches");
        c.zk.create("/w", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        c.zk.getData("/w", c.named("data"), null);
        c.zk.getChildren("/w", c.named("children"));
        c.zk.exists("/w/a", c.named("exists"));
        c.zk.addWatch("/w", c.named("persistent"), AddWatchMode.PERSISTENT);
        c.zk.addWatch("/w", c.named("recursive"), AddWatchMode.PERSISTENT_RECURSIVE);
        c.zk.setData("/w", bytes("1"), -1);
        c.zk.create("/w/a", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        c.zk.create("/w/a/b", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        c.zk.setData("/w/a/b", bytes("1"), -1);
        c.printEvents(9);
        c.zk.delete("/w/a/b", -1);
        c.zk.delete("/w/a", -1);
        c.printEvents(3);
        show("remove", () -> { c.zk.removeAllWatches("/w", WatcherType.PersistentRecursive, false); return "done"; });
        show("remove", () -> { c.zk.removeAllWatches("/w", WatcherType.Any, false); return "done"; });
        show("remove", () -> { c.zk.removeAllWatches("/w", WatcherType.Any, false); return "done"; });
        c.printEvents(2);
        c.zk.setData("/w", bytes("2"), -1);
        c.zk.getData("/w", false, null);
        print("left over: " + c.events.size());
    }

    private static void reconnect(Client other) throws Exception {
        section("reconnect");
        Client c = new Client(relay, false);
        long session = c.zk.getSessionId();
        c.zk.create("/r", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        c.zk.create("/r-parent", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        c.zk.getData("/r", c.named("data"), null);
        c.zk.getData("/r-parent", c.named("parent"), null);
        c.zk.exists("/later", c.named("exists"));
        c.zk.getChildren("/r-parent", c.named("children"));
        c.zk.addWatch("/r-parent", c.named("recursive"), AddWatchMode.PERSISTENT_RECURSIVE);
        tellRelay("down");
        c.await(KeeperState.Disconnected);
        other.zk.setData("/r-parent", bytes("while away"), -1);
        other.zk.create("/later", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        tellRelay("up");
        c.await(KeeperState.SyncConnected);
        c.printEvents(2);
        print("same session: " + (c.zk.getSessionId() == session));
        other.zk.create("/r-parent/a", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        c.printEvents(2);
        show("data", () -> c.zk.setData("/r", bytes("1"), -1));
        c.printEvents(1);
        c.zk.close();
        show("gone", () -> other.zk.exists("/r", false));
    }

    private static void sessions(Client other) throws Exception {
        section("sessions");
        Client first = new Client(server, true);
        print("timeout " + first.zk.getSessionTimeout());
        show("create", () -> first.zk.create("/s", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL));
        Client second = new Client(server, first.zk.getSessionId(), first.zk.getSessionPasswd());
        second.await(KeeperState.SyncConnected);
        show("delete", () -> { second.zk.delete("/s", -1); return "done"; });
        Client stranger = new Client(server, first.zk.getSessionId(), new byte[16]);
        stranger.await(KeeperState.Expired);
        show("expired", () -> stranger.zk.exists("/", false));
        second.zk.close();
        show("still there", () -> other.zk.exists("/s", false));
    }

    public static void main(String[] arguments) throws Exception {
        server = arguments[0];
        relay = arguments[1];
        Client client = new Client(server, false);
        createAndRead(client);
        transactions(client);
        accessControl(client);
        watches(client);
        reconnect(client);
        sessions(client);
        section("close");
        client.zk.close();
        print(client.zk.getState());
        System.exit(0);
    }
}
