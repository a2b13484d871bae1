// Puts an external server in the place of the one that Apache's tests start inside their JVM: they ask for the class that
// zookeeper.serverCnxnFactory names to listen for a ZooKeeperServer, and this one starts $PYZK_SERVER instead, with that
// server's directories, port, limits, and the system properties that the test has set, all of it in a zoo.cfg.

import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.regex.Pattern;
import org.apache.zookeeper.server.ServerCnxn;
import org.apache.zookeeper.server.ServerCnxnFactory;
import org.apache.zookeeper.server.SyncRequestProcessor;
import org.apache.zookeeper.server.ZooKeeperServer;

public final class ExternalServer extends ServerCnxnFactory {
    private static final Pattern READ_BY_SERVERS =
            Pattern.compile("java\\.security\\.auth\\.login\\.config|(zookeeper|znode\\.container|jute|readonlymode)\\..*|fsync\\.warningthresholdms");
    private static final long STOP_SECONDS = 15;
    private static final String PROGRAM = System.getenv("PYZK_SERVER");
    private InetSocketAddress address;
    private int connectionsMax;
    private int backlog;
    private Process process;

    @Override
    public void configure(InetSocketAddress wanted, int connectionsMaxPerHost, int backlogMax, boolean withTls) {
        if (withTls) {
            throw new UnsupportedOperationException("a secure port");
        }
        address = wanted;
        connectionsMax = connectionsMaxPerHost;
        backlog = backlogMax;
    }

    @Override
    public void startup(ZooKeeperServer server, boolean startServer) throws IOException {
        setZooKeeperServer(server);
        Path folder = Files.createTempDirectory("external-");
        Path configuration = folder.resolve("zoo.cfg");
        Files.write(configuration, settings(server));
        ProcessBuilder program = new ProcessBuilder(PROGRAM, "--config", configuration.toString());
        Path log = folder.resolve("server.log");
        process = program.redirectErrorStream(true).redirectOutput(log.toFile()).start();
        Runtime.getRuntime().addShutdownHook(new Thread(process::destroyForcibly));
        waitUntilItListens(log);
    }

    // Apache's server listens when it has been started, or says by an exception why it cannot.
    private void waitUntilItListens(Path log) throws IOException {
        InetAddress host = address.getAddress().isAnyLocalAddress() ? InetAddress.getLoopbackAddress() : address.getAddress();
        while (process.isAlive()) {
            try (Socket probe = new Socket(host, address.getPort())) {
                return;
            } catch (ConnectException notYet) {
                LockSupport.parkNanos(TimeUnit.MILLISECONDS.toNanos(20));
            }
        }
        throw new IOException("the server has ended: " + Files.readString(log));
    }

    private List<String> settings(ZooKeeperServer server) {
        List<String> lines = new ArrayList<>();
        lines.add("dataDir=" + server.getTxnLogFactory().getSnapDir().getParent());
        lines.add("dataLogDir=" + server.getTxnLogFactory().getDataLogDir().getParent());
        lines.add("clientPort=" + address.getPort());
        if (!address.getAddress().isAnyLocalAddress()) {
            // Java names the interface of an IPv6 loopback address, which no configuration does.
            lines.add("clientPortAddress=" + address.getAddress().getHostAddress().replace("%lo", ""));
        }
        lines.add("tickTime=" + server.getTickTime());
        lines.add("minSessionTimeout=" + server.getMinSessionTimeout());
        lines.add("maxSessionTimeout=" + server.getMaxSessionTimeout());
        lines.add("maxClientCnxns=" + Math.max(connectionsMax, 0));
        lines.add("snapCount=" + SyncRequestProcessor.getSnapCount());
        lines.add("admin.enableServer=false");
        for (String name : System.getProperties().stringPropertyNames()) {
            String value = System.getProperty(name);
            if (READ_BY_SERVERS.matcher(name).matches() && !name.equals(ZOOKEEPER_SERVER_CNXN_FACTORY)) {
                lines.add(name.replaceFirst("^zookeeper\\.", "") + "=" + value);
            }
        }
        return lines;
    }

    @Override
    public void shutdown() {
        if (process == null) {
            return;
        }
        process.destroy();
        try {
            if (!process.waitFor(STOP_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly().waitFor();
            }
        } catch (InterruptedException error) {
            Thread.currentThread().interrupt();
        }
        process = null;
    }

    @Override
    public void join() throws InterruptedException {
        if (process != null) {
            process.waitFor();
        }
    }

    @Override
    public void start() {}

    @Override
    public void reconfigure(InetSocketAddress wanted) {
        throw new UnsupportedOperationException("another address");
    }

    @Override
    public int getLocalPort() {
        return address.getPort();
    }

    @Override
    public InetSocketAddress getLocalAddress() {
        return address;
    }

    @Override
    public int getMaxClientCnxnsPerHost() {
        return connectionsMax;
    }

    @Override
    public void setMaxClientCnxnsPerHost(int connectionsMaxPerHost) {
        connectionsMax = connectionsMaxPerHost;
    }

    @Override
    public int getSocketListenBacklog() {
        return backlog;
    }

    @Override
    public Iterable<ServerCnxn> getConnections() {
        return Collections.emptyList();
    }

    @Override
    public Iterable<Map<String, Object>> getAllConnectionInfo(boolean brief) {
        return Collections.emptyList();
    }

    @Override
    public void closeAll(ServerCnxn.DisconnectReason reason) {}

    @Override
    public void resetAllConnectionStats() {}
}
