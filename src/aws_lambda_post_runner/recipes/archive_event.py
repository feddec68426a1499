"""A post command that keeps the event in S3: needs `AWS_LAMBDA_POST_RUNNER_CAPTURE=event` and `ARCHIVE_BUCKET`."""

import os

import boto3

PREFIX = "AWS_LAMBDA_POST_RUNNER_"

event_file = os.environ.get(PREFIX + "EVENT_FILE")
if event_file is None:
    raise SystemExit("the event was not captured")
request_id = os.environ[PREFIX + "REQUEST_ID"]
boto3.client("s3").upload_file(event_file, os.environ["ARCHIVE_BUCKET"], f"events/{request_id}.json")
