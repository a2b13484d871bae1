// Something that runs beside the main thread, with its exceptions.

import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;

final class Together {
    private Together() {}

    static <T> CompletableFuture<T> run(Callable<T> work) {
        CompletableFuture<T> result = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            try {
                result.complete(work.call());
            } catch (Exception error) {
                result.completeExceptionally(error);
            }
        });
        thread.setDaemon(true);
        thread.start();
        return result;
    }
}
