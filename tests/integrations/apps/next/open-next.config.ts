import lambda from '@opennextjs/aws/overrides/wrappers/aws-lambda.js';
import { withWaitUntil } from 'post-runner/opennext';

export default {
  default: {
    override: {
      wrapper: async () => withWaitUntil(lambda),
      incrementalCache: 'dummy',
      tagCache: 'dummy',
      queue: 'dummy',
    },
  },
};
