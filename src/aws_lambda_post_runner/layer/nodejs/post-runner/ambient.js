'use strict';

/**
 * Gives frameworks the request context that they look for, with a `waitUntil` that is ours. The runner has Node load
 * this first, with --require, where AWS_LAMBDA_POST_RUNNER_AMBIENT names what is to find one.
 *
 * The helper itself is loaded at the first call: a function that never calls it pays next to nothing.
 */

const SYMBOLS = { next: '@next/request-context', vercel: '@vercel/request-context' };

class Context {
  constructor(name) {
    this.waitUntil = (it) => void require('./index.js').waitUntil(it, undefined, name);
  }
}

for (const name of (process.env.AWS_LAMBDA_POST_RUNNER_AMBIENT ?? '').toLowerCase().split(',')) {
  const symbol = SYMBOLS[name.trim()];
  if (!symbol) continue;
  const context = new Context(name.trim());
  globalThis[Symbol.for(symbol)] ??= { get: () => context };
}
