"""Events as services send them, to try a handler with."""

from enum import Enum
from importlib import resources


class Example(Enum):
    """The services whose events are here."""

    APIGW_V2 = "apigw-v2"
    S3 = "s3"
    SQS = "sqs"
    SNS = "sns"
    EVENTBRIDGE = "eventbridge"
    URL = "url"


def read_example(example: Example) -> bytes:
    """Return an event, as JSON."""
    return (resources.files(__package__) / f"{example.value}.json").read_bytes()
