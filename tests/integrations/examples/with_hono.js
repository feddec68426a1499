// `c.executionCtx.waitUntil` of Hono's.

const { Hono } = require('hono');
const { handle } = require('hono/aws-lambda');
const { withWaitUntil } = require('post-runner/hono');

const slow = require('./slow.mjs');

const app = new Hono();

app.post('/users/:user', (c) => {
  c.executionCtx.waitUntil(slow.work('welcome'));
  return c.json(c.req.param());
});

app.post('/fails/:when', (c) => {
  if (c.req.param('when') === 'before') throw new Error('before the answer');
  c.executionCtx.waitUntil(fail());
  return c.text('answered');
});

async function fail() {
  throw new RangeError('dividend / divisor');
}

exports.handler = handle(withWaitUntil(app));
