"""An invocation whose answer was refused is over: nothing that comes later is taken for a part of it."""

import pytest

from .conftest import Prepare
from .fake_runtime_api import reply
from .running import Stage

MANAGED = {"AWS_LAMBDA_MAX_CONCURRENCY": "2"}
MEBIBYTE = 1024 * 1024
REFUSALS = [400, 403, 410, 413, 500]


def ask_for_work(stage: Stage, work: bytes) -> int:
    path = "/post-runner/v1/invocation/current/work"
    return stage.runner.connect().exchange("POST", path, work).status


def refuse(stage: Stage, status: int, *kinds: str) -> None:
    """The next answers of these kinds are refused."""
    for kind in kinds:
        stage.runtime_api.plan(f"/{kind}", reply(status))


@pytest.mark.parametrize("status", REFUSALS)
def test_current_is_the_next_invocation_after_one_whose_answer_was_refused(stage: Stage, status: int) -> None:
    stage.run_after(f"cat > {stage.folder}/work")
    refuse(stage, status, "response")
    handler = stage.runner.connect()
    assert handler.answer(stage.next_invocation(handler)).status == status
    request_id = stage.next_invocation(handler)
    assert ask_for_work(stage, b"of the second") == 202
    handler.answer(request_id)
    stage.runner.await_event("post-command-ended", request_id)
    assert (stage.folder / "work").read_text() == "of the second\n"


@pytest.mark.parametrize("status", REFUSALS)
def test_on_managed_instances_too(prepare: Prepare, status: int) -> None:
    stage = prepare(environment=MANAGED)
    stage.run_after(f"cat > {stage.folder}/work")
    refuse(stage, status, "response")
    handler = stage.runner.connect()
    assert handler.answer(stage.next_invocation(handler)).status == status
    request_id = stage.next_invocation(handler)
    assert ask_for_work(stage, b"of the second") == 202
    handler.answer(request_id)
    stage.runner.await_event("post-command-ended", request_id)
    assert (stage.folder / "work").read_text() == "of the second\n"


@pytest.mark.parametrize("environment", [{}, MANAGED], ids=["one at a time", "managed instances"])
@pytest.mark.parametrize("kinds", [["response"], ["response", "error"]], ids=["once", "twice"])
@pytest.mark.parametrize("status", [400, 403])
def test_the_events_of_invocations_whose_answers_were_refused_are_not_kept(
    prepare: Prepare, environment: dict[str, str], status: int, kinds: list[str]
) -> None:
    stage = prepare(CAPTURE="event", environment=environment)
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler, body=bytes(4 * MEBIBYTE)))
    before = stage.runner.memory()
    for _ in range(19):
        refuse(stage, status, *kinds)
        request_id = stage.next_invocation(handler, body=bytes(4 * MEBIBYTE))
        assert handler.answer(request_id).status == status
        if "error" in kinds:
            assert handler.answer_error(request_id).status == status
    assert stage.runner.memory() - before < 16 * MEBIBYTE


def test_an_invocation_that_was_never_answered_is_over_when_the_next_one_has_begun(stage: Stage) -> None:
    handler = stage.runner.connect()
    stage.next_invocation(handler)
    stage.next_invocation(handler)
    assert ask_for_work(stage, b"of the second") == 202


def test_on_managed_instances_an_error_after_a_refused_response_knows_its_invocation(
    prepare: Prepare,
) -> None:
    stage = prepare(environment=MANAGED)
    stage.run_after(f"echo $AWS_LAMBDA_POST_RUNNER_TENANT_ID > {stage.folder}/tenant")
    refuse(stage, 400, "response")
    first, second = stage.runner.connect(), stage.runner.connect()
    refused = stage.next_invocation(first, headers=[("Lambda-Runtime-Aws-Tenant-Id", "blue")])
    assert first.answer(refused).status == 400
    stage.next_invocation(second)
    assert first.answer_error(refused).status == 202
    stage.runner.await_event("post-command-ended", refused)
    assert (stage.folder / "tenant").read_text() == "blue\n"
