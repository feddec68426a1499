<?php

declare(strict_types=1);

namespace PostRunner;

/*
 * What a Lambda function in PHP may ask of aws-lambda-post-runner. It needs nothing but PHP 8: copy it.
 *
 *     \PostRunner\work(['user' => 7]);            // a line for the post command's standard input
 *     $release = \PostRunner\hold('thumbnails');  // Lambda does not freeze us before $release() has been called
 *
 * PHP has no threads: what goes on after the answer is a process of your own that calls $release's request, or the
 * post command. Where the runner is not there, nobody waits. Nothing here throws because of the runner.
 */

/** Hand over text as it is, anything else as JSON. Tells whether a command will get it. */
function work(mixed $data, string $invocation = 'current'): bool
{
    $line = is_string($data) ? $data : json_encode($data, JSON_THROW_ON_ERROR);
    return ask('POST', "invocation/$invocation/work", $line)[0] === 202;
}

/** Keep Lambda from freezing us until what is returned is called. */
function hold(string $name = '', string $invocation = 'current'): \Closure
{
    $document = $name === '' ? '' : json_encode(['name' => $name], JSON_THROW_ON_ERROR);
    [$status, $body] = ask('POST', "invocation/$invocation/wait", $document);
    $token = $status === 201 ? json_decode($body, true)['token'] : null;
    return static function () use ($token): void {
        if ($token !== null) {
            ask('DELETE', "wait/$token");
        }
    };
}

/** @return array{int, string} the status and the body of the runner's answer; 0 if there was none */
function ask(string $method, string $path, string $body = ''): array
{
    $address = getenv('AWS_LAMBDA_RUNTIME_API');
    if ($address === false || $address === '') {
        return [0, ''];
    }
    // The runner is on this machine, and answers within a fraction of a millisecond.
    $options = ['method' => $method, 'content' => $body, 'timeout' => 0.5, 'ignore_errors' => true, 'header' => []];
    $context = stream_context_create(['http' => $options]);
    $answer = @file_get_contents("http://$address/post-runner/v1/$path", false, $context);
    $status = isset($http_response_header) ? (int) explode(' ', $http_response_header[0])[1] : 0;
    return [$status, $answer === false ? '' : $answer];
}
