// Election among clients.

import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;

final class Leaders {
    private Leaders() {}

    static final class Latches implements Recipe {
        private final LeaderLatch first;
        private final LeaderLatch second;

        Latches(Stage stage) {
            first = new LeaderLatch(stage.one, "/leaders/latch", "first");
            second = new LeaderLatch(stage.two, "/leaders/latch", "second");
        }

        private boolean agreed() throws Exception {
            return first.hasLeadership() != second.hasLeadership()
                    && first.getParticipants().size() == 2
                    && first.getLeader().getId().equals(first.hasLeadership() ? "first" : "second")
                    && first.getLeader().equals(second.getLeader());
        }

        @Override
        public void begin() throws Exception {
            first.start();
            Stage.until("the first leads alone", first::hasLeadership);
            second.start();
            Stage.until("both know one leader", this::agreed);
            Stage.say("leader", second.getLeader().getId());
        }

        @Override
        public void goOn() throws Exception {
            Stage.until("both know one leader", this::agreed);
            LeaderLatch leader = first.hasLeadership() ? first : second;
            LeaderLatch other = leader == first ? second : first;
            leader.close();
            Stage.until("the other leads once the leader has left", other::hasLeadership);
            other.close();
        }
    }

    static final class Selectors implements Recipe {
        private final AtomicInteger leading = new AtomicInteger();
        private final AtomicInteger terms = new AtomicInteger();
        private final AtomicInteger together = new AtomicInteger();
        private final LeaderSelector first;
        private final LeaderSelector second;

        Selectors(Stage stage) {
            first = selector(stage.one);
            second = selector(stage.two);
        }

        private LeaderSelector selector(CuratorFramework client) {
            LeaderSelector made = new LeaderSelector(client, "/leaders/selector", new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework itself) throws Exception {
                    together.accumulateAndGet(leading.incrementAndGet(), Math::max);
                    try {
                        terms.incrementAndGet();
                        Thread.sleep(100);
                    } finally {
                        leading.decrementAndGet();
                    }
                }
            });
            made.autoRequeue();
            return made;
        }

        @Override
        public void begin() throws Exception {
            first.start();
            second.start();
            Stage.until("six terms", () -> terms.get() >= 6);
            Stage.say("at most this many at a time", together.get());
        }

        @Override
        public void goOn() throws Exception {
            int before = terms.get();
            Stage.until("six terms more", () -> terms.get() >= before + 6);
            Stage.say("participants", first.getParticipants().size());
            first.close();
            second.close();
            Stage.say("at most this many at a time", together.get());
        }
    }
}
