// Barriers: closed through the failover, and met afterwards.

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;

final class Barriers {
    private Barriers() {}

    static final class Single implements Recipe {
        private final DistributedBarrier mine;
        private final DistributedBarrier theirs;
        private final Stage stage;
        private CompletableFuture<Boolean> passed;

        Single(Stage stage) {
            this.stage = stage;
            mine = new DistributedBarrier(stage.one, "/barriers/single");
            theirs = new DistributedBarrier(stage.two, "/barriers/single");
        }

        @Override
        public void begin() throws Exception {
            mine.setBarrier();
            stage.level();
            Stage.say("passes a closed barrier", theirs.waitOnBarrier(500, TimeUnit.MILLISECONDS));
            passed = Together.run(() -> theirs.waitOnBarrier(2 * Stage.PATIENCE_MS, TimeUnit.MILLISECONDS));
        }

        @Override
        public void goOn() throws Exception {
            Stage.say("passed meanwhile", passed.isDone());
            mine.removeBarrier();
            Stage.say("passes once it is removed", passed.get(Stage.PATIENCE_MS, TimeUnit.MILLISECONDS));
        }
    }

    static final class Twice implements Recipe {
        private final DistributedDoubleBarrier mine;
        private final DistributedDoubleBarrier theirs;

        Twice(Stage stage) {
            mine = new DistributedDoubleBarrier(stage.one, "/barriers/double", 2);
            theirs = new DistributedDoubleBarrier(stage.two, "/barriers/double", 2);
        }

        @Override
        public void begin() throws Exception {
            CompletableFuture<Boolean> other = Together.run(() -> theirs.enter(Stage.PATIENCE_MS, TimeUnit.MILLISECONDS));
            Stage.say("enters with another", mine.enter(Stage.PATIENCE_MS, TimeUnit.MILLISECONDS));
            Stage.say("the other enters", other.get());
        }

        @Override
        public void goOn() throws Exception {
            CompletableFuture<Boolean> other = Together.run(() -> theirs.leave(Stage.PATIENCE_MS, TimeUnit.MILLISECONDS));
            Stage.say("leaves with another", mine.leave(Stage.PATIENCE_MS, TimeUnit.MILLISECONDS));
            Stage.say("the other leaves", other.get());
        }
    }
}
