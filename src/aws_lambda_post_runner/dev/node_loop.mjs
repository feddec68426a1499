// A small loop for a laptop: node node_loop.mjs FILE NAME runs the handler NAME of FILE against the Runtime API.
// It stands in where the project has no aws-lambda-ric: handlers with a promise or a callback, and streamed answers.
import http from 'node:http';
import path from 'node:path';
import { PassThrough } from 'node:stream';
import { pathToFileURL } from 'node:url';

const [file, name] = process.argv.slice(2);
const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new http.Agent({ keepAlive: true });
const streams = Symbol('streams its answer');

globalThis.awslambda = {
  streamifyResponse(handler) {
    handler[streams] = true;
    return handler;
  },
};

function call(method, place, headers, body) {
  return new Promise((resolve, reject) => {
    const target = `/2018-06-01/runtime/${place}`;
    const request = http.request({ host, port, agent, method, path: target, headers }, async (response) => {
      const parts = [];
      for await (const part of response) parts.push(part);
      resolve({ headers: response.headers, body: Buffer.concat(parts).toString() });
    });
    request.on('error', reject);
    if (body?.pipe) body.pipe(request);
    else request.end(body);
  });
}

function contextOf(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  return {
    callbackWaitsForEmptyEventLoop: true,
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

function run(handler, event, context) {
  return new Promise((resolve, reject) => {
    const result = handler(event, context, (error, value) => (error ? reject(error) : resolve(value)));
    if (result?.then) result.then(resolve, reject);
    else if (result !== undefined || handler.length < 3) resolve(result);
  });
}

async function stream(handler, event, context, place) {
  const body = new PassThrough();
  body.setContentType = () => body;
  const headers = { 'Lambda-Runtime-Function-Response-Mode': 'streaming', 'Transfer-Encoding': 'chunked' };
  const sent = call('POST', `${place}/response`, headers, body);
  try {
    await handler(event, body, context);
    if (!body.writableEnded) body.end();
  } catch (error) {
    console.error(error);
    process.exit(1); // the answer has begun: only by being cut can it still fail
  }
  await sent;
}

async function answer(handler, event, context, place) {
  const headers = { 'Content-Type': 'application/json' };
  try {
    const value = await run(handler, event, context);
    await call('POST', `${place}/response`, headers, JSON.stringify(value ?? null));
  } catch (error) {
    console.error(error);
    await call('POST', `${place}/error`, headers, described(error));
  }
}

function described(error) {
  const errorType = error?.name ?? 'Error';
  const trace = error?.stack?.split('\n') ?? [];
  return JSON.stringify({ errorType, errorMessage: String(error?.message ?? error), trace });
}

async function load() {
  try {
    const found = await import(pathToFileURL(path.resolve(file)));
    const handler = found[name] ?? found.default?.[name];
    if (typeof handler !== 'function') throw new TypeError(`${file} exports no function ${name}`);
    return handler;
  } catch (error) {
    console.error(error);
    await call('POST', 'init/error', { 'Content-Type': 'application/json' }, described(error));
    return process.exit(1);
  }
}

const handler = await load();
for (;;) {
  const next = await call('GET', 'invocation/next', {});
  const context = contextOf(next.headers);
  process.env._X_AMZN_TRACE_ID = next.headers['lambda-runtime-trace-id'] ?? '';
  const place = `invocation/${context.awsRequestId}`;
  const serve = handler[streams] ? stream : answer;
  await serve(handler, JSON.parse(next.body), context, place);
}
