// On Managed Instances: hands over its own id as work, and waits, without saying for which invocation.

const fs = require('node:fs');
const { setTimeout } = require('node:timers/promises');
const { work, waitUntil } = require('post-runner');

exports.handler = async (_event, { awsRequestId }) => {
  fs.writeFileSync(`${process.env.MEETING}/${awsRequestId}`, '');
  while (fs.readdirSync(process.env.MEETING).length < 16) await setTimeout(10);
  work(awsRequestId);
  waitUntil(setTimeout(1));
  globalThis[Symbol.for('@vercel/request-context')].get().waitUntil(setTimeout(1));
  return 'answered';
};
