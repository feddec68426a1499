// Does what its event tells it, as every client of the tests can; see tests/interop/clients. An ES module.

if (process.env.FAILS) throw new Error('broken');

setInterval(() => process.stdout.write('tick\n'), 50);

function see(context) {
  const { awsRequestId, invokedFunctionArn, tenantId } = context;
  const seen = [awsRequestId, invokedFunctionArn, process.env._X_AMZN_TRACE_ID, tenantId];
  process.stdout.write(`saw ${seen.join(' ')}\n`);
}

function obey(event) {
  if (event.do === 'fail') throw new Error('broken');
  if (event.do === 'exit') process.exit(7);
}

async function waitForALine() {
  await new Promise((resolve) => process.stdin.once('data', resolve));
  process.stdin.pause();
}

export const handler = async (event, context) => {
  see(context);
  obey(event);
  return event;
};

export const streaming = awslambda.streamifyResponse(async (event, stream, context) => {
  see(context);
  obey(event);
  if (event.do === 'stream' || event.do === 'break') {
    stream.write('one');
    await waitForALine();
    if (event.do === 'break') throw new Error('broken');
    stream.end('two');
  } else {
    stream.end(JSON.stringify(event));
  }
});
