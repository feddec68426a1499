// What a route of Express begins and does not await, under serverless-http.

const express = require('express');
const serverless = require('serverless-http');
const { waitUntil } = require('post-runner');

const slow = require('./slow.mjs');

const app = express();

app.post('/users/:user', (request, response) => {
  waitUntil(slow.work('welcome'));
  response.json(request.params);
});

app.post('/fails/:when', (request, response) => {
  if (request.params.when === 'before') throw new Error('before the answer');
  waitUntil(fail());
  response.send('answered');
});

async function fail() {
  throw new RangeError('dividend / divisor');
}

exports.handler = serverless(app);
