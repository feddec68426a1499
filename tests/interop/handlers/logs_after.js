// Logs with Powertools, once before its answer and once after it: when a line has come on standard input.

const { Logger } = require('@aws-lambda-powertools/logger');
const { Metrics } = require('@aws-lambda-powertools/metrics');
const { waitUntil } = require('post-runner');

const logger = new Logger({ serviceName: 'tests' });
const metrics = new Metrics({ namespace: 'tests', serviceName: 'tests' });

async function finish() {
  await new Promise((resolve) => process.stdin.once('data', resolve));
  logger.info('after the answer');
  metrics.addMetric('finished', 'Count', 1);
  metrics.publishStoredMetrics();
}

exports.handler = async (_event, context) => {
  logger.addContext(context);
  logger.info('before the answer');
  waitUntil(finish());
  return 'answered';
};
