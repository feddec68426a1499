#!/bin/sh
# A user's post command: it takes a while, and writes down what it was told.
sleep 0.3
echo "$AWS_LAMBDA_POST_RUNNER_REQUEST_ID $AWS_LAMBDA_POST_RUNNER_OUTCOME" >> "$RECORD"
