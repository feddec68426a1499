<?php
// The loop of a runtime client in PHP, in the manner of Bref's: one curl handle for events and one for answers, each
// of which keeps its connection, and no word against curl's `Expect: 100-continue` for large bodies.

const ERROR = '{"errorMessage":"broken","errorType":"RuntimeException","stackTrace":[]}';

$runtime = 'http://' . getenv('AWS_LAMBDA_RUNTIME_API') . '/2018-06-01/runtime/';

function handle(): CurlHandle
{
    $handle = curl_init();
    curl_setopt($handle, CURLOPT_RETURNTRANSFER, true);
    curl_setopt($handle, CURLOPT_USERAGENT, 'bref/2');
    return $handle;
}

/** Makes a request. Returns its status, its headers with names in lower case, and its body; ends us if it fails. */
function exchange(CurlHandle $handle, string $url): array
{
    $headers = [];
    curl_setopt($handle, CURLOPT_URL, $url);
    curl_setopt($handle, CURLOPT_HEADERFUNCTION, function ($handle, string $line) use (&$headers): int {
        $parts = explode(':', $line, 2);
        if (count($parts) === 2) {
            $headers[strtolower($parts[0])] = trim($parts[1]);
        }
        return strlen($line);
    });
    $body = curl_exec($handle);
    if (curl_errno($handle) !== 0) {
        fwrite(STDERR, curl_error($handle) . "\n");
        exit(1);
    }
    $status = curl_getinfo($handle, CURLINFO_HTTP_CODE);
    ksort($headers);
    $told = array_map(fn ($name, $value) => "$name=$value", array_keys($headers), $headers);
    fwrite(STDOUT, "saw $status " . implode('; ', $told) . "\n");
    return [$status, $headers, $body];
}

function post(CurlHandle $handle, string $url, string $body, array $headers): void
{
    curl_setopt($handle, CURLOPT_CUSTOMREQUEST, 'POST');
    curl_setopt($handle, CURLOPT_POSTFIELDS, $body);
    curl_setopt($handle, CURLOPT_HTTPHEADER, [...$headers, 'Content-Length: ' . strlen($body)]);
    [$status] = exchange($handle, $url);
    if ($status >= 400) {
        fwrite(STDERR, "not accepted: $status\n");
        exit(1);
    }
}

$events = handle();
curl_setopt($events, CURLOPT_FAILONERROR, true);
$answers = handle();

if (getenv('FAILS') !== false) {
    post($answers, "{$runtime}init/error", ERROR, ['Content-Type: application/json']);
    exit(1);
}

while (true) {
    [, $headers, $event] = exchange($events, "{$runtime}invocation/next");
    $invocation = "{$runtime}invocation/{$headers['lambda-runtime-aws-request-id']}";
    switch ($event) {
        case '{"do":"exit"}':
            exit(7);
        case '{"do":"fail"}':
            post($answers, "$invocation/error", ERROR, [
                'Content-Type: application/json',
                'Lambda-Runtime-Function-Error-Type: RuntimeException',
            ]);
            break;
        default:
            post($answers, "$invocation/response", $event, ['Content-Type: application/json']);
    }
}
