import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse;
import java.net.http.HttpResponse.BodyHandlers;
import java.util.Map;

/** As custom runtimes in Java make their requests: HttpClient, which offers an upgrade to HTTP/2 with each. */
final class HttpClientLoop {
    private static final HttpClient CLIENT = HttpClient.newHttpClient();

    public static void main(String[] arguments) throws Exception {
        new Loop(HttpClientLoop::make).run();
    }

    private static Loop.Answer make(String url, Map<String, String> headers, byte[] body)
            throws IOException, InterruptedException {
        HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(url));
        headers.forEach(request::header);
        if (body != null) {
            request.POST(BodyPublishers.ofByteArray(body));
        }
        HttpResponse<byte[]> answer = CLIENT.send(request.build(), BodyHandlers.ofByteArray());
        return new Loop.Answer(answer.statusCode(), Loop.plain(answer.headers().map()), answer.body());
    }
}
