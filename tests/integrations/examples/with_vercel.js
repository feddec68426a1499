// `waitUntil` of Vercel's package for functions; AWS_LAMBDA_POST_RUNNER_AMBIENT=vercel is all it needs.

const { waitUntil } = require('@vercel/functions');

const slow = require('./slow.mjs');

async function fail() {
  throw new RangeError('dividend / divisor');
}

exports.handler = async ({ rawPath }) => {
  if (rawPath === '/fails/before') return { statusCode: 500 };
  waitUntil(rawPath === '/fails/after' ? fail() : slow.work('welcome'));
  return { statusCode: 200, body: 'answered' };
};
