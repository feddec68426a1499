"""An answer is matched with its event, and its error type is known, in whatever form both come."""

import json

import pytest

from .conftest import Prepare
from .fake_runtime_api import answer_path
from .running import Stage

ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"


@pytest.mark.parametrize(
    ("request_id", "in_the_path"),
    [
        ("a b", "a%20b"),
        ("a/b", "a%2Fb"),
        ("a/b", "a%2fb"),
        ("100%25", "100%25"),
        ("plain", "pl%61in"),
        ("\u00fc", "%C3%BC"),
    ],
)
def test_a_request_id_that_is_percent_encoded_in_the_path_is_that_of_the_event(
    stage: Stage, request_id: str, in_the_path: str
) -> None:
    stage.run_after(f"echo $AWS_LAMBDA_POST_RUNNER_TENANT_ID > {stage.folder}/tenant")
    handler = stage.runner.connect()
    headers = [("Lambda-Runtime-Aws-Tenant-Id", "blue")]
    stage.runtime_api.invoke(request_id=request_id, headers=headers)
    handler.poll()
    assert handler.answer(in_the_path).status == 202
    assert stage.runtime_api.to("/response")[0].target == answer_path(in_the_path)
    assert stage.runner.await_event("post-command-ended")["requestId"] == request_id
    assert (stage.folder / "tenant").read_text() == "blue\n"


def test_the_handler_may_percent_encode_the_id_when_it_hands_over_work(stage: Stage) -> None:
    stage.run_after(f"cat > {stage.folder}/work")
    handler = stage.runner.connect()
    stage.next_invocation(handler, request_id="a b")
    assert handler.exchange("POST", "/post-runner/v1/invocation/a%20b/work", b"work").status == 202
    handler.answer("a%20b")
    stage.runner.await_event("post-command-ended", "a b")
    assert (stage.folder / "work").read_text() == "work\n"


@pytest.mark.parametrize("error_type", ["Function.Broken", "Fehler.\u00dcberlauf"])
def test_the_error_type_of_a_document_is_known_though_the_document_is_too_large_to_be_captured(
    prepare: Prepare, error_type: str
) -> None:
    stage = prepare(CAPTURE="response", CAPTURE_LIMIT="10")
    stage.run_after(f"echo $AWS_LAMBDA_POST_RUNNER_ERROR_TYPE > {stage.folder}/type")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    document = json.dumps({"errorMessage": "no", "errorType": error_type}).encode()
    assert handler.exchange("POST", answer_path(request_id, "error"), document).status == 202
    assert stage.runner.await_event("post-command-ended")["notCaptured"] == ["response"]
    assert (stage.folder / "type").read_text(encoding="utf-8") == f"{error_type}\n"


@pytest.mark.parametrize("sent", [b"Fehler.\xc3\x9cberlauf", b"Fehler.\xdcberlauf"], ids=["UTF-8", "Latin-1"])
@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_the_error_type_of_a_header_or_a_trailer_reaches_the_command_as_utf_8(
    prepare: Prepare, sent: bytes, locale: str
) -> None:
    stage = prepare(environment={"LC_ALL": locale})
    stage.run_after(f"echo $AWS_LAMBDA_POST_RUNNER_ERROR_TYPE >> {stage.folder}/types")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    path = answer_path(request_id, "error")
    handler.send(
        f"POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n{ERROR_TYPE}: ".encode()
        + sent
        + b"\r\n\r\n{}"
    )
    assert handler.read_response().status == 202
    stage.runner.await_event("post-command-ended", request_id)
    request_id = stage.next_invocation(handler)
    handler.begin_stream(answer_path(request_id))
    handler.end_stream(f"{ERROR_TYPE}: ".encode() + sent + b"\r\n")
    assert handler.read_response().status == 202
    stage.runner.await_event("post-command-ended", request_id)
    assert (stage.folder / "types").read_text(encoding="utf-8").split() == ["Fehler.\u00dcberlauf"] * 2
