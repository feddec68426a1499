// Streams its response, and then works for two seconds more.

const { setTimeout } = require('node:timers/promises');
const { waitUntil } = require('post-runner');

async function finish() {
  await setTimeout(2000);
  console.log('finished at', Date.now() / 1000);
}

exports.handler = awslambda.streamifyResponse(async (_event, stream) => {
  waitUntil(finish());
  stream.write('answered ');
  stream.end('in pieces');
});
