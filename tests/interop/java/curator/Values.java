// Counters and a queue.

import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;

final class Values {
    private Values() {}

    static final class Shared implements Recipe {
        private final SharedCount mine;
        private final SharedCount theirs;

        Shared(Stage stage) {
            mine = new SharedCount(stage.one, "/values/shared", 7);
            theirs = new SharedCount(stage.two, "/values/shared", 7);
        }

        @Override
        public void begin() throws Exception {
            mine.start();
            theirs.start();
            Stage.say("at first", theirs.getCount());
            mine.setCount(8);
            Stage.until("the other hears of 8", () -> theirs.getCount() == 8);
            Stage.say("sets what it has seen", theirs.trySetCount(theirs.getVersionedValue(), 9));
        }

        @Override
        public void goOn() throws Exception {
            Stage.until("both have 9", () -> mine.getCount() == 9 && theirs.getCount() == 9);
            Stage.say("sets what it has seen", mine.trySetCount(mine.getVersionedValue(), 10));
            Stage.until("the other hears of 10", () -> theirs.getCount() == 10);
            mine.close();
            theirs.close();
        }
    }

    static final class Atomic implements Recipe {
        private static final int TIMES = 50;
        private final DistributedAtomicLong mine;
        private final DistributedAtomicLong theirs;
        private final Stage stage;

        Atomic(Stage stage) {
            this.stage = stage;
            mine = new DistributedAtomicLong(stage.one, "/values/atomic", new RetryNTimes(1_000, 5));
            theirs = new DistributedAtomicLong(stage.two, "/values/atomic", new RetryNTimes(1_000, 5));
        }

        private void count() throws Exception {
            var other = Together.run(() -> increments(theirs));
            int counted = increments(mine) + other.get();
            stage.level();
            Stage.say("increments", counted);
            Stage.say("value", mine.get().postValue());
        }

        private static int increments(DistributedAtomicLong value) throws Exception {
            int succeeded = 0;
            for (int time = 0; time < TIMES; time++) {
                AtomicValue<Long> result = value.increment();
                succeeded += result.succeeded() ? 1 : 0;
            }
            return succeeded;
        }

        @Override
        public void begin() throws Exception {
            count();
        }

        @Override
        public void goOn() throws Exception {
            count();
            Stage.say("compare and set", theirs.compareAndSet(200L, 5L).succeeded());
            Stage.say("compare and set with a wrong value", theirs.compareAndSet(200L, 6L).succeeded());
        }
    }

    static final class Queue implements Recipe {
        private static final int ITEMS = 20;
        private final List<String> taken = new CopyOnWriteArrayList<>();
        private final DistributedQueue<String> producer;
        private final DistributedQueue<String> consumer;

        Queue(Stage stage) {
            producer = QueueBuilder.builder(stage.one, null, new Text(), "/values/queue").buildQueue();
            consumer = QueueBuilder.builder(stage.two, new Taker(), new Text(), "/values/queue")
                    .lockPath("/values/queue-locks")
                    .buildQueue();
        }

        private void pass(String prefix) throws Exception {
            int before = taken.size();
            for (int item = 0; item < ITEMS; item++) {
                producer.put(prefix + item);
            }
            Stage.until("all taken", () -> taken.size() >= before + ITEMS);
            Stage.say("taken", Stage.sorted(taken.subList(before, taken.size())));
        }

        @Override
        public void begin() throws Exception {
            producer.start();
            consumer.start();
            pass("before-");
        }

        @Override
        public void goOn() throws Exception {
            pass("after-");
            producer.close();
            consumer.close();
        }

        private final class Taker implements QueueConsumer<String> {
            @Override
            public void consumeMessage(String message) {
                taken.add(message);
            }

            @Override
            public void stateChanged(CuratorFramework client, ConnectionState state) {}
        }

        private static final class Text implements QueueSerializer<String> {
            @Override
            public byte[] serialize(String item) {
                return item.getBytes();
            }

            @Override
            public String deserialize(byte[] bytes) {
                return new String(bytes);
            }
        }
    }
}
