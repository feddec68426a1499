/**
 * Next's `after()` behind OpenNext, whose wrapper awaits everything before it answers as long as nobody gives it a
 * `waitUntil`. In open-next.config.ts:
 *
 *     import lambda from '@opennextjs/aws/overrides/wrappers/aws-lambda.js';
 *     import { withWaitUntil } from 'post-runner/opennext';
 *
 *     export default { default: { override: { wrapper: async () => withWaitUntil(lambda) } } };
 */

import { waitUntil } from './index.js';

function wait(promise) {
  waitUntil(promise, undefined, 'next');
}

/** A wrapper of OpenNext's that does the same and passes `waitUntil` to the server behind it. */
export function withWaitUntil(wrapper) {
  return {
    ...wrapper,
    name: `${wrapper.name} with post-runner`,
    wrapper: (handler, converter) =>
      wrapper.wrapper((event, options) => handler(event, { ...options, waitUntil: wait }), converter),
  };
}
