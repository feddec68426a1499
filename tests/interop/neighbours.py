"""What functions have beside us, and how both are set up: the rows of the second table."""

from dataclasses import dataclass
from enum import StrEnum


class Neighbour(StrEnum):
    """What the tests run together with us."""

    OTEL_PYTHON_BEHIND = "OpenTelemetry for Python, started by us"
    OTEL_PYTHON_BEFORE = "OpenTelemetry for Python, which starts us"
    OTEL_NODE_BEHIND = "OpenTelemetry for Node, started by us"
    OTEL_NODE_BEFORE = "OpenTelemetry for Node, which starts us"
    EXTENSION = "an external extension"
    INTERNAL_EXTENSION = "an internal extension, in the handler's process"
    PROXY = "a proxy of the Runtime API before us (a second one of ours)"
    POWERTOOLS_PYTHON = "Powertools for AWS Lambda (Python)"
    POWERTOOLS_NODE = "Powertools for AWS Lambda (TypeScript)"


HOW = {
    Neighbour.OTEL_PYTHON_BEHIND: "`AWS_LAMBDA_EXEC_WRAPPER` is ours, `AWS_LAMBDA_POST_RUNNER_NEXT_WRAPPER` theirs",
    Neighbour.OTEL_PYTHON_BEFORE: (
        "a wrapper of one's own starts theirs, and that ours; take the executable, which reads no `PYTHONPATH`: "
        "a plain installation is instrumented as well, and so imports the handler's module a second time"
    ),
    Neighbour.OTEL_NODE_BEHIND: "`AWS_LAMBDA_EXEC_WRAPPER` is ours, `AWS_LAMBDA_POST_RUNNER_NEXT_WRAPPER` theirs",
    Neighbour.OTEL_NODE_BEFORE: "its `--require` is in the function's `NODE_OPTIONS`; `AMBIENT` adds ours to it",
    Neighbour.EXTENSION: "nothing; it talks to the Runtime API itself",
    Neighbour.INTERNAL_EXTENSION: "nothing; it registers through us, and its poll for events is never held",
    Neighbour.PROXY: "nothing; we talk to whatever address `AWS_LAMBDA_RUNTIME_API` has when we are started",
    Neighbour.POWERTOOLS_PYTHON: "nothing; a function of `wait_until` can log after the answer",
    Neighbour.POWERTOOLS_NODE: "nothing; a promise of `waitUntil` can log after the answer",
}


@dataclass(frozen=True)
class Untested:
    """A neighbour that no test here can have."""

    name: str
    why: str


UNTESTED = (
    Untested(
        "Datadog's extension and its like, which may put a proxy before us", "needs an account of theirs"
    ),
    Untested("Lambda Web Adapter", "needs its layer; it would have to be pointed at our address"),
    Untested("Lambda Insights", "its extension is only in AWS's layers"),
)
