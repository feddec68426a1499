using System;
using System.Net;
using System.Net.Http;
using System.Text.Json;
using System.Threading.Tasks;

/// <summary>
/// What a Lambda function in .NET may ask of aws-lambda-post-runner. It needs nothing but .NET 8: copy it.
/// <code>
/// await PostRunner.Work("{\"user\": 7}"); // a line for the post command's standard input
/// await PostRunner.WaitUntil("mail", () => SendMail(user)); // returns at once; Lambda does not freeze us before it has ended
/// </code>
/// Where the runner is not there, the work itself goes on, and nobody waits for it. Nothing here throws because of the
/// runner.
/// </summary>
public static class PostRunner
{
    // The runner is on this machine, and answers within a fraction of a millisecond.
    private static readonly HttpClient Client = new() { Timeout = TimeSpan.FromSeconds(0.5) };

    /// <summary>Hand over a text, and tell whether a command will get it.</summary>
    public static async Task<bool> Work(string data, string invocation = "current") =>
        (await Ask(HttpMethod.Post, $"invocation/{invocation}/work", data)).Status == HttpStatusCode.Accepted;

    /// <summary>Begin work that Lambda does not freeze. What it throws is logged before the wait ends.</summary>
    public static async Task WaitUntil(string name, Func<Task> work, string invocation = "current")
    {
        var document = JsonSerializer.Serialize(new { name });
        var (status, body) = await Ask(HttpMethod.Post, $"invocation/{invocation}/wait", document);
        string? token = null;
        if (status == HttpStatusCode.Created)
        {
            using var answer = JsonDocument.Parse(body);
            token = answer.RootElement.GetProperty("token").GetString();
        }
        _ = Task.Run(() => SeeThrough(work, token));
    }

    private static async Task SeeThrough(Func<Task> work, string? token)
    {
        try
        {
            await work();
        }
        catch (Exception problem)
        {
            Console.Error.WriteLine($"what the freeze waits for has failed: {problem}");
        }
        finally
        {
            if (token != null) await Ask(HttpMethod.Delete, $"wait/{token}", "");
        }
    }

    private static async Task<(HttpStatusCode Status, string Body)> Ask(HttpMethod method, string path, string body)
    {
        var address = Environment.GetEnvironmentVariable("AWS_LAMBDA_RUNTIME_API");
        if (string.IsNullOrEmpty(address)) return (0, "");
        try
        {
            using var request = new HttpRequestMessage(method, $"http://{address}/post-runner/v1/{path}")
            {
                Content = new StringContent(body),
            };
            using var response = await Client.SendAsync(request);
            return (response.StatusCode, await response.Content.ReadAsStringAsync());
        }
        catch (Exception problem) when (problem is HttpRequestException or TaskCanceledException or UriFormatException)
        {
            return (0, "");
        }
    }
}
