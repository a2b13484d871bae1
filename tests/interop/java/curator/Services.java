// Service discovery: registered, found, changed and gone.

import java.util.Collection;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.x.discovery.ServiceCache;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.curator.x.discovery.ServiceProvider;

final class Services implements Recipe {
    private final ServiceDiscovery<Void> mine;
    private final ServiceDiscovery<Void> theirs;
    private ServiceInstance<Void> instance;
    private ServiceProvider<Void> provider;
    private ServiceCache<Void> cache;

    Services(Stage stage) {
        mine = discovery(stage.one);
        theirs = discovery(stage.two);
    }

    private static ServiceDiscovery<Void> discovery(CuratorFramework client) {
        return ServiceDiscoveryBuilder.builder(Void.class).client(client).basePath("/services").build();
    }

    private static ServiceInstance<Void> instance(String id, int port) throws Exception {
        return ServiceInstance.<Void>builder().name("shop").id(id).address("host").port(port).build();
    }

    @Override
    public void begin() throws Exception {
        mine.start();
        theirs.start();
        instance = instance("first", 1);
        mine.registerService(instance);
        provider = theirs.serviceProviderBuilder().serviceName("shop").build();
        provider.start();
        cache = theirs.serviceCacheBuilder().name("shop").build();
        cache.start();
        Stage.until("found", () -> provider.getInstance() != null && provider.getInstance().getPort() == 1);
        Stage.say("names", theirs.queryForNames());
    }

    @Override
    public void goOn() throws Exception {
        Stage.say("still registered", theirs.queryForInstance("shop", "first") != null);
        mine.registerService(instance("second", 2));
        Stage.until("two in the cache", () -> cache.getInstances().size() == 2);
        mine.unregisterService(instance);
        Stage.until("the second alone", () -> only(provider.getAllInstances(), 2));
        provider.close();
        cache.close();
        mine.close();
        theirs.close();
    }

    private static boolean only(Collection<ServiceInstance<Void>> found, int port) {
        return found.size() == 1 && found.iterator().next().getPort() == port;
    }
}
