// Answers at once, and then works for two seconds more.

const { setTimeout } = require('node:timers/promises');
const { waitUntil } = require('post-runner');

async function finish() {
  for (let i = 0; i < 20; i++) await setTimeout(100);
  console.log('finished at', Date.now() / 1000);
}

exports.handler = async () => {
  waitUntil(finish());
  return 'answered';
};
