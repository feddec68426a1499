"""A fallback command that keeps lost work in a queue: needs `SPILL_QUEUE_URL`, and CAPTURE=event for the event."""

import json
import os
import sys
from pathlib import Path

import boto3

PREFIX = "AWS_LAMBDA_POST_RUNNER_"

event_file = os.environ.get(PREFIX + "EVENT_FILE")
lost = {
    "requestId": os.environ[PREFIX + "REQUEST_ID"],
    "reason": os.environ[PREFIX + "FALLBACK_REASON"],
    "outcome": os.environ[PREFIX + "OUTCOME"],
    "work": sys.stdin.read(),
    "event": Path(event_file).read_text(encoding="utf-8") if event_file else None,
}
# More than a mebibyte is refused by SQS; this command fails then, and the runner says so.
boto3.client("sqs").send_message(QueueUrl=os.environ["SPILL_QUEUE_URL"], MessageBody=json.dumps(lost))
