// Caches and persistent watches: what the other session writes is seen, before and after the failover.

import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentSkipListSet;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.watch.PersistentWatcher;
import org.apache.zookeeper.WatchedEvent;

final class Caches {
    private Caches() {}

    /** A writer below a path, whose work a cache has to show. */
    private abstract static class Cache implements Recipe {
        final Stage stage;
        final String top;

        Cache(Stage stage, String top) {
            this.stage = stage;
            this.top = top;
        }

        abstract void start() throws Exception;

        abstract String shown();

        abstract void close() throws Exception;

        @Override
        public void begin() throws Exception {
            stage.two.create().creatingParentsIfNeeded().forPath(top + "/a", "1".getBytes());
            start();
            Stage.until("shows a=1", () -> shown().equals("a=1"));
            stage.two.setData().forPath(top + "/a", "2".getBytes());
            stage.two.create().forPath(top + "/b", "1".getBytes());
            Stage.until("shows a=2 b=1", () -> shown().equals("a=2 b=1"));
        }

        @Override
        public void goOn() throws Exception {
            Stage.until("shows a=2 b=1", () -> shown().equals("a=2 b=1"));
            stage.two.delete().forPath(top + "/a");
            stage.two.setData().forPath(top + "/b", "2".getBytes());
            stage.two.create().forPath(top + "/c", "1".getBytes());
            Stage.until("shows b=2 c=1", () -> shown().equals("b=2 c=1"));
            close();
        }

        String shown(Iterable<ChildData> found) {
            Set<String> nodes = new TreeSet<>();
            for (ChildData node : found) {
                if (!node.getPath().equals(top)) {
                    nodes.add(node.getPath().substring(top.length() + 1) + "=" + Stage.text(node.getData()));
                }
            }
            return String.join(" ", nodes);
        }
    }

    static final class Whole extends Cache {
        private final CuratorCache cache;

        Whole(Stage stage) {
            super(stage, "/caches/whole");
            cache = CuratorCache.build(stage.one, top);
        }

        @Override
        void start() {
            cache.start();
        }

        @Override
        String shown() {
            return shown(cache.stream()::iterator);
        }

        @Override
        void close() {
            cache.close();
        }
    }

    static final class Tree extends Cache {
        private final TreeCache cache;

        Tree(Stage stage) {
            super(stage, "/caches/tree");
            cache = new TreeCache(stage.one, top);
        }

        @Override
        void start() throws Exception {
            cache.start();
        }

        @Override
        String shown() {
            return cache.getCurrentChildren(top) == null ? "" : shown(cache.getCurrentChildren(top).values());
        }

        @Override
        void close() {
            cache.close();
        }
    }

    static final class Children extends Cache {
        private final PathChildrenCache cache;

        Children(Stage stage) {
            super(stage, "/caches/children");
            cache = new PathChildrenCache(stage.one, top, true);
        }

        @Override
        void start() throws Exception {
            cache.start();
        }

        @Override
        String shown() {
            return shown(cache.getCurrentData());
        }

        @Override
        void close() throws Exception {
            cache.close();
        }
    }

    static final class Watcher implements Recipe {
        private final Stage stage;
        private final PersistentWatcher watcher;
        private final Set<String> seen = new ConcurrentSkipListSet<>();

        Watcher(Stage stage) {
            this.stage = stage;
            watcher = new PersistentWatcher(stage.one, "/watched", true);
            watcher.getListenable().addListener(this::note);
        }

        private void note(WatchedEvent event) {
            if (event.getPath() != null) {
                seen.add(event.getType() + " " + event.getPath());
            }
        }

        @Override
        public void begin() throws Exception {
            watcher.start();
            stage.one.checkExists().forPath("/watched");
            stage.two.create().creatingParentsIfNeeded().forPath("/watched/deep/down");
            Stage.until("sees a create deep down", () -> seen.contains("NodeCreated /watched/deep/down"));
        }

        @Override
        public void goOn() throws Exception {
            stage.one.checkExists().forPath("/watched");
            stage.two.setData().forPath("/watched/deep/down", "x".getBytes());
            stage.two.delete().forPath("/watched/deep/down");
            Stage.until("sees a change", () -> seen.contains("NodeDataChanged /watched/deep/down"));
            Stage.until("sees a delete", () -> seen.contains("NodeDeleted /watched/deep/down"));
            watcher.close();
        }
    }
}
