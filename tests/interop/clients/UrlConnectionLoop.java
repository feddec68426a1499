import java.io.IOException;
import java.io.InputStream;
import java.net.HttpURLConnection;
import java.net.URL;
import java.util.Map;

/** As AWS's client for Java makes its requests that are not libcurl's: HttpURLConnection, which keeps connections. */
final class UrlConnectionLoop {
    public static void main(String[] arguments) throws Exception {
        new Loop(UrlConnectionLoop::make).run();
    }

    private static Loop.Answer make(String url, Map<String, String> headers, byte[] body) throws IOException {
        HttpURLConnection connection = (HttpURLConnection) new URL(url).openConnection();
        headers.forEach(connection::setRequestProperty);
        if (body != null) {
            connection.setRequestMethod("POST");
            connection.setDoOutput(true);
            connection.setFixedLengthStreamingMode(body.length);
            try (var out = connection.getOutputStream()) {
                out.write(body);
            }
        }
        int status = connection.getResponseCode();
        try (InputStream in = status < 400 ? connection.getInputStream() : connection.getErrorStream()) {
            return new Loop.Answer(status, Loop.plain(connection.getHeaderFields()), in.readAllBytes());
        }
    }
}
