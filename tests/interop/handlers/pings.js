// Makes a request, which instrumentations see, and answers with its event.

const http = require('node:http');

const ping = () =>
  new Promise((resolve, reject) => {
    const url = `http://${process.env.AWS_LAMBDA_RUNTIME_API}/2018-06-01/ping`;
    http.get(url, (answer) => answer.resume().on('end', resolve)).on('error', reject);
  });

exports.handler = async (event) => {
  await ping();
  return event;
};
