"""A fallback command that keeps lost work in S3: needs `SPILL_BUCKET`, and CAPTURE=event for the event."""

import os
import sys
from pathlib import Path

import boto3

PREFIX = "AWS_LAMBDA_POST_RUNNER_"

request_id = os.environ[PREFIX + "REQUEST_ID"]
parts = {"work": sys.stdin.buffer.read()}
event_file = os.environ.get(PREFIX + "EVENT_FILE")
if event_file:
    parts["event"] = Path(event_file).read_bytes()
reason = os.environ[PREFIX + "FALLBACK_REASON"]
for name, body in parts.items():
    boto3.client("s3").put_object(
        Bucket=os.environ["SPILL_BUCKET"],
        Key=f"lost/{request_id}/{name}",
        Body=body,
        Metadata={"reason": reason},
    )
