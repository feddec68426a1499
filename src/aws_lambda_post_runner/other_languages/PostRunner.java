import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.nio.charset.StandardCharsets;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * What a Lambda function in Java may ask of aws-lambda-post-runner. It needs nothing but Java 11: copy it.
 *
 * <pre>
 * PostRunner.work("{\"user\": 7}", "current"); // a line for the post command's standard input
 * PostRunner.waitUntil("mail", () -> sendMail(user)); // Lambda does not freeze us before it has returned
 * </pre>
 *
 * Where the runner is not there, the work itself goes on, and nobody waits for it. Nothing here throws because of the
 * runner.
 */
public final class PostRunner {
    /** Milliseconds. The runner is on this machine, and answers within a fraction of one. */
    private static final int PATIENCE = 500;

    private static final Pattern TOKEN = Pattern.compile("\"token\":\\s*\"([^\"]+)\"");

    private PostRunner() {}

    /** Hand over a text, and tell whether a command will get it. The invocation is a request id, or "current". */
    public static boolean work(String data, String invocation) {
        return ask("POST", "invocation/" + invocation + "/work", data).status == 202;
    }

    /** Run it in a thread. What it throws is logged before the wait ends. */
    public static void waitUntil(String name, Runnable work) {
        Runnable release = hold(name, "current");
        new Thread(() -> {
            try {
                work.run();
            } catch (Throwable problem) {
                System.err.println("what the freeze waits for has failed:");
                problem.printStackTrace();
            } finally {
                release.run();
            }
        }, name).start();
    }

    /** Keep Lambda from freezing us until what is returned is run. */
    public static Runnable hold(String name, String invocation) {
        String quoted = name.replace("\\", "\\\\").replace("\"", "\\\"");
        Answer opened = ask("POST", "invocation/" + invocation + "/wait", "{\"name\": \"" + quoted + "\"}");
        Matcher token = TOKEN.matcher(opened.body);
        if (opened.status != 201 || !token.find()) {
            return () -> {};
        }
        String path = "wait/" + token.group(1);
        return () -> ask("DELETE", path, "");
    }

    private static final class Answer {
        final int status;
        final String body;

        Answer(int status, String body) {
            this.status = status;
            this.body = body;
        }
    }

    private static Answer ask(String method, String path, String body) {
        String address = System.getenv("AWS_LAMBDA_RUNTIME_API");
        try {
            URI uri = URI.create("http://" + address + "/post-runner/v1/" + path);
            HttpURLConnection connection = (HttpURLConnection) uri.toURL().openConnection();
            connection.setRequestMethod(method);
            connection.setConnectTimeout(PATIENCE);
            connection.setReadTimeout(PATIENCE);
            if (!body.isEmpty()) {
                connection.setDoOutput(true);
                try (OutputStream out = connection.getOutputStream()) {
                    out.write(body.getBytes(StandardCharsets.UTF_8));
                }
            }
            int status = connection.getResponseCode();
            try (InputStream in = status < 400 ? connection.getInputStream() : connection.getErrorStream()) {
                return new Answer(status, in == null ? "" : new String(in.readAllBytes(), StandardCharsets.UTF_8));
            }
        } catch (IOException | IllegalArgumentException nobodyIsThere) {
            return new Answer(0, "");
        }
    }
}
