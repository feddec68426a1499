import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** The loop of a runtime client in Java; how a request is made is another class's business. */
final class Loop {
    /** What came back; the names of the headers are in lower case. */
    record Answer(int status, Map<String, String> headers, byte[] body) {}

    /** Makes one request; `body` is null for a GET. */
    interface Exchange {
        Answer make(String url, Map<String, String> headers, byte[] body) throws IOException, InterruptedException;
    }

    private static final String RUNTIME =
            "http://" + System.getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/";
    private static final byte[] ERROR =
            bytes("{\"errorMessage\":\"broken\",\"errorType\":\"java.lang.IllegalStateException\",\"stackTrace\":[]}");

    private final Exchange exchange;

    Loop(Exchange exchange) {
        this.exchange = exchange;
    }

    /** Headers as both ways of making a request have them, made plain. */
    static Map<String, String> plain(Map<String, List<String>> headers) {
        Map<String, String> plain = new TreeMap<>();
        headers.forEach((name, values) -> {
            if (name != null) { // HttpURLConnection has the status line there
                plain.put(name.toLowerCase(), String.join(", ", values));
            }
        });
        return plain;
    }

    void run() throws IOException, InterruptedException {
        if (System.getenv("FAILS") != null) {
            postError("init/error");
            System.exit(1);
        }
        Thread ticking = new Thread(Loop::tick);
        ticking.setDaemon(true);
        ticking.start();
        while (true) {
            Answer event = make("invocation/next", Map.of(), null);
            if (event.status() != 200) {
                throw new IOException("no event: " + event.status());
            }
            answer("invocation/" + event.headers().get("lambda-runtime-aws-request-id"), event.body());
        }
    }

    private void answer(String invocation, byte[] event) throws IOException, InterruptedException {
        switch (new String(event, StandardCharsets.ISO_8859_1)) {
            case "{\"do\":\"exit\"}" -> Runtime.getRuntime().halt(7);
            case "{\"do\":\"fail\"}" -> postError(invocation + "/error");
            default -> require(make(invocation + "/response", Map.of("Content-Type", "application/json"), event));
        }
    }

    private void postError(String path) throws IOException, InterruptedException {
        require(make(path, Map.of(
                "Content-Type", "application/vnd.aws.lambda.error+json",
                "Lambda-Runtime-Function-Error-Type", "java.lang.IllegalStateException",
                "Lambda-Runtime-Function-XRay-Error-Cause", "{\"working_directory\":\"/\",\"exceptions\":[]}"),
                ERROR));
    }

    private static void require(Answer acknowledgement) throws IOException {
        if (acknowledgement.status() != 202) {
            throw new IOException("not accepted: " + acknowledgement.status());
        }
    }

    private Answer make(String path, Map<String, String> headers, byte[] body)
            throws IOException, InterruptedException {
        Map<String, String> all = new TreeMap<>(headers);
        all.put("User-Agent", "aws-lambda-java/17");
        Answer answer = exchange.make(RUNTIME + path, all, body);
        String told = answer.headers().entrySet().stream()
                .map(header -> header.getKey() + "=" + header.getValue())
                .collect(Collectors.joining("; "));
        System.out.println("saw " + answer.status() + " " + told);
        return answer;
    }

    private static void tick() {
        try {
            while (true) {
                System.out.println("tick");
                Thread.sleep(50);
            }
        } catch (InterruptedException end) {
            Thread.currentThread().interrupt();
        }
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }
}
