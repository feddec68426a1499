'use strict';

/**
 * Hono's `c.executionCtx.waitUntil` on Lambda, whose adapter passes no execution context.
 *
 *     export const handler = handle(withWaitUntil(app));   // before: handle(app)
 */

const { waitUntil } = require('./index.js');

const executionCtx = {
  waitUntil(promise) {
    waitUntil(promise, undefined, 'hono');
  },
  passThroughOnException() {}, // there is no origin behind a Lambda function to pass on to
  props: {},
};

/** The application as Lambda's adapter sees it: it uses nothing but `fetch`. */
function withWaitUntil(app) {
  return { ...app, fetch: (request, env, context = executionCtx) => app.fetch(request, env, context) };
}

module.exports = { withWaitUntil };
