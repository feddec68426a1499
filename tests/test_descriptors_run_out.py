"""When descriptors run out everybody waits for his turn, and nobody is turned away; afterwards all is as before."""

import select

import pytest

from .conftest import Start
from .fake_runtime_api import NEXT, PATIENCE, FakeRuntimeApi, answer_path
from .running import RUNNER, Gate, HandlerConnection, Running, Stage, wait_until

LIMIT = 24
CROWD = 60


@pytest.fixture
def runner(start: Start) -> Running:
    """One that may have few descriptors."""
    few = ["sh", "-c", f'ulimit -n {LIMIT}; exec "$@"', "sh", *RUNNER]
    return start(runner=few, COMMAND="true", MODE="OnRequest")


def crowd(runner: Running) -> list[HandlerConnection]:
    """More connections than we can have at once."""
    handlers = [runner.connect() for _ in range(CROWD)]
    wait_until(lambda: runner.open_descriptors() == LIMIT, "the last free descriptor's use")
    return handlers


def whoever_speaks(handlers: list[HandlerConnection]) -> HandlerConnection:
    """Wait for the first one on which something comes."""
    readable, _, _ = select.select([each.sock for each in handlers], [], [], PATIENCE)
    return next(each for each in handlers if each.sock in readable)


def quiet(runner: Running, runtime_api: FakeRuntimeApi) -> int:
    """How many descriptors it has for itself; those of idle connections to the Runtime API are not counted."""
    return runner.open_descriptors() - runtime_api.open_connections


def warm_up(runner: Running, runtime_api: FakeRuntimeApi) -> int:
    """Let it have an invocation; return how many descriptors it has for itself."""
    handler = runner.connect()
    assert handler.answer("warm-up").status == 202
    with_handler = quiet(runner, runtime_api)
    handler.close()
    return with_handler - 1


def check_that_all_is_as_before(runner: Running, runtime_api: FakeRuntimeApi, descriptors: int) -> None:
    """An invocation goes well, and no more descriptors are open than once."""
    handler = runner.connect()
    request_id = runtime_api.invoke()
    assert handler.poll() == request_id
    assert handler.answer(request_id).status == 202
    handler.close()
    wait_until(lambda: quiet(runner, runtime_api) == descriptors, "the end of all connections")


@pytest.mark.parametrize("kind", ["response", "error"])
def test_every_answer_of_a_crowd_is_taken_and_acknowledged(
    runner: Running, runtime_api: FakeRuntimeApi, kind: str
) -> None:
    usual = warm_up(runner, runtime_api)
    handlers = crowd(runner)
    for number, handler in enumerate(handlers):
        handler.ask("POST", answer_path(f"number-{number}", kind), b"{}")
    for handler in handlers:
        assert handler.read_response().status == 202
        handler.close()
    answered = {request.target.split("/")[4] for request in runtime_api.to(kind)}
    assert {f"number-{number}" for number in range(CROWD)} <= answered
    check_that_all_is_as_before(runner, runtime_api, usual)


@pytest.mark.parametrize("kind", ["response", "error"])
def test_an_answer_is_taken_though_polls_have_used_up_all_descriptors(
    runner: Running, runtime_api: FakeRuntimeApi, kind: str
) -> None:
    usual = warm_up(runner, runtime_api)
    handlers = crowd(runner)
    for handler in handlers:
        handler.send_poll()
    for _ in range(3):
        request_id = runtime_api.invoke()
        handler = whoever_speaks(handlers)
        assert handler.read_event() == request_id
        assert handler.exchange("POST", answer_path(request_id, kind), b"{}").status == 202
    for handler in handlers:
        handler.close()
    runtime_api.invoke(b"for the poll that is out")
    wait_until(lambda: runner.open_descriptors() < LIMIT, "a free descriptor")
    polling = runner.connect()
    polling.send_poll()
    request_id = polling.read_event()
    assert polling.answer(request_id).status == 202
    polling.close()
    check_that_all_is_as_before(runner, runtime_api, usual)


def test_a_poll_that_waited_for_a_descriptor_until_its_handler_had_gone_is_not_sent_on(
    runner: Running, runtime_api: FakeRuntimeApi
) -> None:
    """Each would keep its descriptor until there is an event for it, and there are fewer events than that."""
    handlers = crowd(runner)
    for handler in handlers:
        handler.send_poll()
    wait_until(lambda: runtime_api.to("next"), "the poll that has the spare descriptor")
    for handler in handlers:
        handler.close()
    wait_until(lambda: runner.open_descriptors() < LIMIT - 5, "descriptors that are free again")
    assert len(runtime_api.to("next")) < 4
    request_id = runtime_api.invoke()
    polling = runner.connect()
    assert polling.poll() == request_id


def test_idle_connections_to_the_runtime_api_make_room_for_the_handlers(
    runner: Running, runtime_api: FakeRuntimeApi
) -> None:
    at_once = [runner.connect() for _ in range(4)]
    for handler in at_once:
        handler.send_poll()
    runtime_api.await_request(NEXT, nth=4)
    for _ in at_once:
        runtime_api.invoke()
    for handler in at_once:
        handler.read_event()
        handler.close()
    handlers = crowd(runner)
    runtime_api.wait_for(lambda: runtime_api.open_connections <= 1, "the end of idle connections")
    assert handlers[0].answer("some-id").status == 202


@pytest.mark.parametrize("held", [False, True], ids=["out", "held"])
def test_80_dropped_polls_keep_no_descriptor_each(stage: Stage, gate: Gate, *, held: bool) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    if held:
        stage.run_after(gate.wait)
        handler.answer(request_id)
        stage.runner.await_event("post-command-started")
    before = stage.runner.open_descriptors()
    polls = len(stage.runner.events("poll-relayed"))
    for number in range(1, 81):
        handler = stage.runner.connect()
        handler.send_poll()
        stage.runner.await_event(
            "poll-held" if held else "poll-relayed", nth=number if held else polls + number
        )
        handler.close()
    assert stage.runner.open_descriptors() <= before + 4
    gate.release()
    assert stage.next_invocation(stage.runner.connect())
