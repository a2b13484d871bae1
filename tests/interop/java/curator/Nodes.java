// Kinds of znodes and of writes.

import java.util.List;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.api.transaction.CuratorOp;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;

final class Nodes {
    private Nodes() {}

    static final class Persistent implements Recipe {
        private final Stage stage;
        private final PersistentNode node;

        Persistent(Stage stage) {
            this.stage = stage;
            node = new PersistentNode(stage.one, CreateMode.EPHEMERAL, false, "/nodes/persistent", "x".getBytes());
        }

        private boolean there() throws Exception {
            return stage.two.checkExists().forPath("/nodes/persistent") != null;
        }

        @Override
        public void begin() throws Exception {
            node.start();
            Stage.say("made", node.waitForInitialCreate(Stage.PATIENCE_MS, TimeUnit.MILLISECONDS));
            stage.two.delete().forPath("/nodes/persistent");
            Stage.until("comes back when somebody deletes it", this::there);
        }

        @Override
        public void goOn() throws Exception {
            Stage.say("is still there", there());
            stage.two.delete().forPath("/nodes/persistent");
            Stage.until("comes back when somebody deletes it", this::there);
            node.close();
            Stage.until("is gone once it is closed", () -> !there());
        }
    }

    static final class Ttl implements Recipe {
        private final Stage stage;
        private final PersistentTtlNode node;

        Ttl(Stage stage) {
            this.stage = stage;
            node = new PersistentTtlNode(stage.one, "/nodes/ttl", 60_000, "x".getBytes());
        }

        @Override
        public void begin() throws Exception {
            node.start();
            Stage.say("made", node.waitForInitialCreate(Stage.PATIENCE_MS, TimeUnit.MILLISECONDS));
            stage.two.create().withTtl(60_000).withMode(CreateMode.PERSISTENT_WITH_TTL).forPath("/nodes/by-hand");
            Stage.say("owner", Long.toHexString(stage.two.checkExists().forPath("/nodes/by-hand").getEphemeralOwner()));
        }

        @Override
        public void goOn() throws Exception {
            Stage.say("is still there", stage.two.checkExists().forPath("/nodes/ttl") != null);
            node.close();
        }
    }

    static final class Group implements Recipe {
        private final GroupMember mine;
        private final GroupMember theirs;

        Group(Stage stage) {
            mine = new GroupMember(stage.one, "/nodes/group", "one", "1".getBytes());
            theirs = new GroupMember(stage.two, "/nodes/group", "two", "2".getBytes());
        }

        @Override
        public void begin() throws Exception {
            mine.start();
            theirs.start();
            Stage.until("two members", () -> mine.getCurrentMembers().size() == 2);
            Stage.say("members", Stage.sorted(mine.getCurrentMembers().keySet()));
        }

        @Override
        public void goOn() throws Exception {
            Stage.until("two members", () -> mine.getCurrentMembers().size() == 2);
            theirs.setThisData("3".getBytes());
            Stage.until("new data", () -> "3".equals(Stage.text(mine.getCurrentMembers().get("two"))));
            theirs.close();
            Stage.until("one member", () -> mine.getCurrentMembers().size() == 1);
            mine.close();
        }
    }

    static final class Containers implements Recipe {
        private final Stage stage;

        Containers(Stage stage) {
            this.stage = stage;
        }

        @Override
        public void begin() throws Exception {
            stage.one.createContainers("/nodes/container/inner");
            long owner = stage.one.checkExists().forPath("/nodes/container/inner").getEphemeralOwner();
            Stage.say("owner", Long.toHexString(owner));
            stage.one.create().creatingParentContainersIfNeeded().forPath("/nodes/container/other/leaf");
            stage.one.delete().forPath("/nodes/container/other/leaf");
        }

        @Override
        public void goOn() throws Exception {
            String left = "/nodes/container/other";
            stage.level();
            Stage.say("children", stage.two.getChildren().forPath("/nodes").contains("container"));
            stage.two.delete().guaranteed().deletingChildrenIfNeeded().forPath("/nodes/container");
            Stage.say("there", stage.two.checkExists().forPath(left) != null);
        }
    }

    static final class Protected implements Recipe {
        private final Stage stage;

        Protected(Stage stage) {
            this.stage = stage;
        }

        @Override
        public void begin() throws Exception {
            String made = stage.one.create().creatingParentsIfNeeded().withProtection()
                    .withMode(CreateMode.EPHEMERAL_SEQUENTIAL).forPath("/nodes/protected/n-");
            Stage.say("made", made.replaceAll("_c_[0-9a-f-]{36}", "_c_UUID"));
            Stage.say("or set", stage.one.create().orSetData().forPath("/nodes/or-set", "1".getBytes()));
            Stage.say("or set", stage.one.create().orSetData().forPath("/nodes/or-set", "2".getBytes()));
            Stage.say("data", Stage.text(stage.one.getData().forPath("/nodes/or-set")));
        }

        @Override
        public void goOn() throws Exception {
            List<String> names = stage.two.getChildren().forPath("/nodes/protected");
            Stage.say("still there", names.size());
            Stage.say("idempotent", stage.two.create().idempotent().forPath("/nodes/again", "1".getBytes()));
            Stage.say("idempotent", stage.two.create().idempotent().forPath("/nodes/again", "1".getBytes()));
            stage.two.setData().idempotent().withVersion(0).forPath("/nodes/again", "2".getBytes());
            stage.two.setData().idempotent().withVersion(0).forPath("/nodes/again", "2".getBytes());
            stage.two.delete().idempotent().withVersion(1).forPath("/nodes/again");
            stage.two.delete().quietly().forPath("/nodes/again");
        }
    }

    static final class Transactions implements Recipe {
        private final Stage stage;

        Transactions(Stage stage) {
            this.stage = stage;
        }

        private void commit(String data, int version) throws Exception {
            CuratorOp check = stage.one.transactionOp().check().withVersion(version).forPath("/transactions/checked");
            CuratorOp set = stage.one.transactionOp().setData().forPath("/transactions/checked", data.getBytes());
            CuratorOp make = stage.one.transactionOp().create().withMode(CreateMode.PERSISTENT_SEQUENTIAL)
                    .forPath("/transactions/made-", data.getBytes());
            for (CuratorTransactionResult result : stage.one.transaction().forOperations(check, set, make)) {
                Stage.say(result.getType() + " " + result.getForPath(), result.getResultPath());
            }
        }

        private void refuse(int version) throws Exception {
            try {
                commit("refused", version);
                Stage.say("committed");
            } catch (KeeperException error) {
                Stage.say("refused", error.code());
                error.getResults().forEach(result -> Stage.say("  of type", result.getType()));
            }
        }

        @Override
        public void begin() throws Exception {
            stage.one.create().creatingParentsIfNeeded().forPath("/transactions/checked", "0".getBytes());
            commit("1", 0);
            refuse(0);
        }

        @Override
        public void goOn() throws Exception {
            commit("2", 1);
            refuse(1);
            stage.level();
            Stage.say("data", Stage.text(stage.two.getData().forPath("/transactions/checked")));
        }
    }
}
