"""What the Lambda Runtime API's paths, headers and statuses mean. Pure: no IO.

The source of every rule here is the Runtime API page of the AWS Lambda developer guide
(https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html).
"""

import json
import re
from enum import Enum, auto

ADDRESS_VARIABLE = "AWS_LAMBDA_RUNTIME_API"
"""Names the Runtime API's `host:port`; every runtime client reads it."""

TRACE_VARIABLE = "_X_AMZN_TRACE_ID"
"""Where AWS SDKs look for the X-Ray trace to join."""

REQUEST_ID = b"lambda-runtime-aws-request-id"
INVOCATION_ID = b"lambda-runtime-invocation-id"
"""Tells two attempts with the same request id apart. A client sends it back if it was given one."""
DEADLINE_MS = b"lambda-runtime-deadline-ms"
FUNCTION_ARN = b"lambda-runtime-invoked-function-arn"
TRACE_ID = b"lambda-runtime-trace-id"
TENANT_ID = b"lambda-runtime-aws-tenant-id"
ERROR_TYPE = b"lambda-runtime-function-error-type"
"""On `/error` a header; after a streamed response that failed half-way a trailer."""

INIT_ERROR_TARGET = b"/2018-06-01/runtime/init/error"
ERROR_CONTENT_TYPE = b"application/vnd.aws.lambda.error+json"
ERROR_DOCUMENT_LIMIT = 64 * 1024
"""Bytes of an error document in which its type is looked for; a stack trace makes the most of one."""

_ENCODED = re.compile(rb"%([0-9A-Fa-f]{2})")


class Call(Enum):
    """What a request to the Runtime API asks for, as far as it concerns us."""

    NEXT = auto()
    RESPONSE = auto()
    ERROR = auto()
    RESTORE_NEXT = auto()
    OTHER = auto()


def read_call(method: bytes, target: bytes) -> tuple[Call, str]:
    """Tell what a request asks for; with it the request id as the path has it, empty where it has none.

    The version (`2018-06-01`) is not looked at: a later one that keeps the paths keeps their meaning.
    """
    match method, target.partition(b"?")[0].split(b"/"):
        case b"GET", [b"", _, b"runtime", b"invocation", b"next"]:
            return Call.NEXT, ""
        case b"POST", [b"", _, b"runtime", b"invocation", request_id, b"response"]:
            return Call.RESPONSE, read_text(request_id)
        case b"POST", [b"", _, b"runtime", b"invocation", request_id, b"error"]:
            return Call.ERROR, read_text(request_id)
        case b"GET", [b"", _, b"runtime", b"restore", b"next"]:
            return Call.RESTORE_NEXT, ""
        case _:
            return Call.OTHER, ""


def read_text(value: bytes) -> str:
    """The text of a header's value or of a part of a path: UTF-8, or Latin-1 if it cannot be that."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def possible_ids(in_the_path: str) -> list[str]:
    """The request ids that a part of a path can stand for, the likeliest first.

    As it is, since most clients write the id there as they got it; then as one that was percent-encoded.
    """
    if "%" not in in_the_path:
        return [in_the_path]
    return [in_the_path, read_text(_ENCODED.sub(_decode, in_the_path.encode()))]


def is_accepted(status: int) -> bool:
    """Tell whether a status says that the answer was taken: any 2xx, in practice 202."""
    return 200 <= status < 300


def ends_invocation(status: int) -> bool:
    """Tell whether an invocation is over when its answer got this status.

    So it is when the answer was taken, was too large (413) or came too late (410, Managed Instances only). After
    400 and 403 it is not.
    """
    return is_accepted(status) or status in (410, 413)


def error_document(message: str, error_type: str) -> bytes:
    """The Runtime API's own form of an error, as JSON."""
    return json.dumps({"errorMessage": message, "errorType": error_type}).encode()


def read_error_type(document: bytes) -> str:
    """The type that an error document names; empty if it names none that can be passed on.

    For clients that send no header for it; awslambdaric is one (runtime_client.cpp).
    """
    try:
        error = json.loads(document)
    except (ValueError, RecursionError):
        return ""
    named = error.get("errorType") if isinstance(error, dict) else None
    # What goes into an environment can hold neither NUL nor half a character.
    return named if isinstance(named, str) and named.isprintable() else ""


def _decode(escape: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escape[1].decode())
