// Locks and semaphores: held through the failover by one session, wanted by the other.

import java.util.Collection;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;

final class Locks {
    private static final long SOON_MS = 500;

    private Locks() {}

    static final class Mutex implements Recipe {
        private final InterProcessMutex mine;
        private final InterProcessMutex theirs;

        Mutex(Stage stage) {
            mine = new InterProcessMutex(stage.one, "/locks/mutex");
            theirs = new InterProcessMutex(stage.two, "/locks/mutex");
        }

        @Override
        public void begin() throws Exception {
            mine.acquire();
            mine.acquire();
            Stage.say("the other gets it", theirs.acquire(SOON_MS, TimeUnit.MILLISECONDS));
            mine.release();
            Stage.say("still mine", mine.isAcquiredInThisProcess());
        }

        @Override
        public void goOn() throws Exception {
            Stage.say("the other gets it", theirs.acquire(SOON_MS, TimeUnit.MILLISECONDS));
            Stage.say("in line", mine.getParticipantNodes().size());
            mine.release();
            Stage.say("the other gets it now", theirs.acquire(Stage.PATIENCE_MS, TimeUnit.MILLISECONDS));
            theirs.release();
        }
    }

    static final class ReadWrite implements Recipe {
        private final InterProcessReadWriteLock mine;
        private final InterProcessReadWriteLock theirs;

        ReadWrite(Stage stage) {
            mine = new InterProcessReadWriteLock(stage.one, "/locks/read-write");
            theirs = new InterProcessReadWriteLock(stage.two, "/locks/read-write");
        }

        @Override
        public void begin() throws Exception {
            mine.readLock().acquire();
            Stage.say("another reader", theirs.readLock().acquire(Stage.PATIENCE_MS, TimeUnit.MILLISECONDS));
            theirs.readLock().release();
            Stage.say("a writer beside a reader", theirs.writeLock().acquire(SOON_MS, TimeUnit.MILLISECONDS));
        }

        @Override
        public void goOn() throws Exception {
            Stage.say("a writer beside a reader", theirs.writeLock().acquire(SOON_MS, TimeUnit.MILLISECONDS));
            mine.readLock().release();
            Stage.say("a writer alone", theirs.writeLock().acquire(Stage.PATIENCE_MS, TimeUnit.MILLISECONDS));
            Stage.say("a reader beside a writer", mine.readLock().acquire(SOON_MS, TimeUnit.MILLISECONDS));
            theirs.writeLock().release();
        }
    }

    static final class Semaphore implements Recipe {
        private final InterProcessSemaphoreV2 mine;
        private final InterProcessSemaphoreV2 theirs;
        private Collection<Lease> leases;

        Semaphore(Stage stage) {
            mine = new InterProcessSemaphoreV2(stage.one, "/locks/semaphore", 3);
            theirs = new InterProcessSemaphoreV2(stage.two, "/locks/semaphore", 3);
        }

        @Override
        public void begin() throws Exception {
            leases = mine.acquire(2);
            Lease third = theirs.acquire(Stage.PATIENCE_MS, TimeUnit.MILLISECONDS);
            Stage.say("a third lease", third != null);
            Stage.say("a fourth lease", theirs.acquire(SOON_MS, TimeUnit.MILLISECONDS) != null);
            theirs.returnLease(third);
        }

        @Override
        public void goOn() throws Exception {
            Stage.say("leases taken", mine.getParticipantNodes().size());
            Stage.say("two more", theirs.acquire(2, SOON_MS, TimeUnit.MILLISECONDS) != null);
            mine.returnAll(leases);
            Collection<Lease> all = theirs.acquire(3, Stage.PATIENCE_MS, TimeUnit.MILLISECONDS);
            Stage.say("all three", all.size());
            theirs.returnAll(all);
        }
    }

    static final class Several implements Recipe {
        private final InterProcessMultiLock mine;
        private final InterProcessMutex one;

        Several(Stage stage) {
            mine = new InterProcessMultiLock(stage.one, List.of("/locks/several/a", "/locks/several/b"));
            one = new InterProcessMutex(stage.two, "/locks/several/b");
        }

        @Override
        public void begin() throws Exception {
            mine.acquire();
            Stage.say("the other gets one of them", one.acquire(SOON_MS, TimeUnit.MILLISECONDS));
        }

        @Override
        public void goOn() throws Exception {
            mine.release();
            Stage.say("the other gets one of them", one.acquire(Stage.PATIENCE_MS, TimeUnit.MILLISECONDS));
            Stage.say("all together now", mine.acquire(SOON_MS, TimeUnit.MILLISECONDS));
            one.release();
        }
    }
}
