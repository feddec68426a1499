/**
 * A plugin for Nitro, whose presets for Lambda pass no `waitUntil`: with it `event.waitUntil` (Nitro 2) and
 * `event.req.waitUntil` (Nitro 3) are ours, and so are those of the cached handlers. In plugins/post-runner.mjs:
 *
 *     export { default } from 'post-runner/nitro';
 */

import { waitUntil } from './index.js';

function wait(promise) {
  waitUntil(promise, undefined, 'nitro');
}

export default function postRunner(nitroApp) {
  nitroApp.hooks.hook('request', (event) => {
    if (event.context) event.context.waitUntil ??= wait; // Nitro 2: its event.waitUntil calls this one
    else event.req.waitUntil ??= wait;
  });
}
