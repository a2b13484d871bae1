// A Solr node in cloud mode, in the place of `bin/solr start -c`: its home, its port and the servers of ZooKeeper.

import org.apache.solr.embedded.JettyConfig;
import org.apache.solr.embedded.JettySolrRunner;

public final class SolrNode {
    private SolrNode() {}

    public static void main(String[] arguments) throws Exception {
        System.setProperty("hostPort", arguments[1]);
        System.setProperty("zkHost", arguments[2]);
        JettyConfig configuration = JettyConfig.builder()
                .setPort(Integer.parseInt(arguments[1]))
                .setContext("/solr")
                .stopAtShutdown(true)
                .build();
        new JettySolrRunner(arguments[0], configuration).start();
    }
}
