// Curator's recipes over an ensemble, with a failover in the middle: `java Recipes HOSTS`, with the commands
// "ensemble: kill the leader" and "ensemble: bring it back" to its owner and his "done" on standard input.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.curator.framework.state.ConnectionState;

public final class Recipes {
    private static final BufferedReader INPUT = new BufferedReader(new InputStreamReader(System.in));

    private Recipes() {}

    public static void main(String[] arguments) throws Exception {
        int failed = 0;
        try (Stage stage = new Stage(arguments[0])) {
            Map<String, Recipe> recipes = recipes(stage);
            long[] sessions = stage.sessions();
            for (Map.Entry<String, Recipe> recipe : recipes.entrySet()) {
                failed += section(recipe.getKey(), recipe.getValue()::begin);
            }
            ask("kill the leader");
            for (Map.Entry<String, Recipe> recipe : recipes.entrySet()) {
                failed += section(recipe.getKey() + ", after the failover", recipe.getValue()::goOn);
            }
            ask("bring it back");
            failed += section("sessions", () -> {
                Stage.say("the same", Arrays.equals(sessions, stage.sessions()));
                Stage.say("ever lost", stage.states.contains(ConnectionState.LOST));
            });
        }
        System.exit(failed);
    }

    private static Map<String, Recipe> recipes(Stage stage) {
        Map<String, Recipe> found = new LinkedHashMap<>();
        found.put("LeaderLatch", new Leaders.Latches(stage));
        found.put("LeaderSelector", new Leaders.Selectors(stage));
        found.put("InterProcessMutex", new Locks.Mutex(stage));
        found.put("InterProcessReadWriteLock", new Locks.ReadWrite(stage));
        found.put("InterProcessSemaphoreV2", new Locks.Semaphore(stage));
        found.put("InterProcessMultiLock", new Locks.Several(stage));
        found.put("DistributedBarrier", new Barriers.Single(stage));
        found.put("DistributedDoubleBarrier", new Barriers.Twice(stage));
        found.put("CuratorCache", new Caches.Whole(stage));
        found.put("TreeCache", new Caches.Tree(stage));
        found.put("PathChildrenCache", new Caches.Children(stage));
        found.put("PersistentWatcher", new Caches.Watcher(stage));
        found.put("SharedCount", new Values.Shared(stage));
        found.put("DistributedAtomicLong", new Values.Atomic(stage));
        found.put("DistributedQueue", new Values.Queue(stage));
        found.put("PersistentNode", new Nodes.Persistent(stage));
        found.put("PersistentTtlNode", new Nodes.Ttl(stage));
        found.put("GroupMember", new Nodes.Group(stage));
        found.put("containers", new Nodes.Containers(stage));
        found.put("protected and idempotent creates", new Nodes.Protected(stage));
        found.put("transactions", new Nodes.Transactions(stage));
        found.put("ServiceDiscovery", new Services(stage));
        return found;
    }

    private interface Play {
        void play() throws Exception;
    }

    private static int section(String name, Play play) {
        System.out.println("== " + name);
        try {
            play.play();
            return 0;
        } catch (Exception | AssertionError error) {
            System.out.println("FAILED: " + error);
            return 1;
        }
    }

    private static void ask(String what) throws Exception {
        System.out.println("ensemble: " + what);
        System.out.flush();
        if (!"done".equals(INPUT.readLine())) {
            throw new IllegalStateException("the ensemble's owner is gone");
        }
    }
}
