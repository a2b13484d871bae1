// Where recipes are played: two sessions of one ensemble, lines of a transcript, and waiting with an end.

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.ExponentialBackoffRetry;

final class Stage implements AutoCloseable {
    static final long PATIENCE_MS = 60_000;
    final CuratorFramework one;
    final CuratorFramework two;
    final List<ConnectionState> states = new CopyOnWriteArrayList<>();

    Stage(String hosts) throws Exception {
        one = connected(hosts);
        two = connected(hosts);
    }

    private CuratorFramework connected(String hosts) throws Exception {
        CuratorFramework client = CuratorFrameworkFactory.builder()
                .connectString(hosts)
                .sessionTimeoutMs(30_000)
                .connectionTimeoutMs(15_000)
                .retryPolicy(new ExponentialBackoffRetry(200, 20, 2_000))
                .build();
        client.getConnectionStateListenable().addListener((itself, state) -> states.add(state));
        client.start();
        client.blockUntilConnected();
        return client;
    }

    long[] sessions() throws Exception {
        return new long[] {
            one.getZookeeperClient().getZooKeeper().getSessionId(), two.getZookeeperClient().getZooKeeper().getSessionId()
        };
    }

    /** Have both sessions see what the other has written: their servers may be at different txns. */
    void level() throws Exception {
        for (CuratorFramework client : List.of(one, two)) {
            CountDownLatch answered = new CountDownLatch(1);
            client.sync().inBackground((itself, event) -> answered.countDown()).forPath("/");
            if (!answered.await(PATIENCE_MS, TimeUnit.MILLISECONDS)) {
                throw new IllegalStateException("no answer to a sync");
            }
        }
    }

    static void say(String line) {
        System.out.println(line);
    }

    static void say(String name, Object value) {
        System.out.println(name + ": " + value);
    }

    /** Wait until it is so, and say it. */
    static void until(String what, Callable<Boolean> holds) throws Exception {
        long end = System.currentTimeMillis() + PATIENCE_MS;
        while (!holds.call()) {
            if (System.currentTimeMillis() > end) {
                throw new IllegalStateException("not so: " + what);
            }
            Thread.sleep(20);
        }
        say(what);
    }

    static String text(byte[] data) {
        return data == null ? "null" : new String(data);
    }

    static List<String> sorted(Iterable<String> names) {
        List<String> found = new ArrayList<>();
        names.forEach(found::add);
        found.sort(null);
        return found;
    }

    @Override
    public void close() {
        one.close();
        two.close();
    }
}
