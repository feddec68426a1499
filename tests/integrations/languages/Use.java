import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.util.concurrent.CountDownLatch;

final class Use {
    private static final BufferedReader LINES = new BufferedReader(new InputStreamReader(System.in));

    public static void main(String[] arguments) throws Exception {
        CountDownLatch read = new CountDownLatch(1);
        System.out.println(PostRunner.work("{\"from\":\"java\"}", "current"));
        PostRunner.waitUntil("named", () -> {
            try {
                String line = LINES.readLine();
                read.countDown();
                if (line.equals("fail")) throw new ArithmeticException("by zero");
            } catch (IOException problem) {
                throw new UncheckedIOException(problem);
            }
        });
        System.out.println("begun");
        read.await();
        LINES.readLine();
    }
}
