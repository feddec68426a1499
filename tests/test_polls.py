"""A poll is held while post work is under way, and once it is out its event is never lost and never doubled."""

import signal
import threading
from collections.abc import Iterator

import pytest

from .conftest import Prepare
from .fake_runtime_api import ACCEPTED, NEXT, Exchange, Script, answer_path, reply, response
from .running import Gate, Stage

MANAGED = {"AWS_LAMBDA_MAX_CONCURRENCY": "16"}


# It is held.


def test_the_next_poll_is_held_until_the_command_has_ended(stage: Stage, gate: Gate) -> None:
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    handler.send_poll()
    stage.runner.await_event("poll-held")
    assert len(stage.runtime_api.to(NEXT)) == 1
    gate.release()
    poll = stage.runtime_api.await_request(NEXT, nth=2)
    assert poll.received >= stage.runner.await_event("post-command-ended")["time"]


def test_polls_on_other_connections_are_held_too(stage: Stage, gate: Gate) -> None:
    stage.run_after(gate.wait)
    first, second, third = (stage.runner.connect() for _ in range(3))
    first.answer(stage.next_invocation(first))
    second.send_poll()
    third.send_poll()
    stage.runner.await_event("poll-held", nth=2)
    assert len(stage.runtime_api.to(NEXT)) == 1
    gate.release()
    stage.runtime_api.await_request(NEXT, nth=3)


def test_nothing_but_polls_is_held(stage: Stage, gate: Gate) -> None:
    stage.runtime_api.plan("/logs", ACCEPTED)
    stage.run_after(gate.wait)
    first, second = stage.runner.connect(), stage.runner.connect()
    first.answer(stage.next_invocation(first))
    first.send_poll()
    stage.runner.await_event("poll-held")
    assert second.exchange("PUT", "/2020-08-15/logs", b"{}").status == 202
    assert second.answer("another").status == 202
    assert len(stage.runtime_api.to(NEXT)) == 1
    gate.release(2)


def test_a_held_poll_whose_connection_goes_away_is_never_sent(stage: Stage, gate: Gate) -> None:
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    handler.send_poll()
    stage.runner.await_event("poll-held")
    handler.close()
    gate.release()
    stage.runner.await_event("post-command-ended")
    assert stage.next_invocation(stage.runner.connect())
    assert len(stage.runner.events("poll-relayed")) == 2


# The handler goes away before the acknowledgement.


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_the_command_runs_once_though_the_handler_drops_its_connection_before_the_acknowledgement(
    stage: Stage, *, reset: bool
) -> None:
    may_go_on = threading.Event()

    def acknowledge_late(exchange: Exchange) -> None:
        exchange.read_body()
        may_go_on.wait(10)
        ACCEPTED(exchange)

    stage.runtime_api.plan("/response", acknowledge_late)
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    handler.ask("POST", answer_path(request_id), b"{}")
    stage.runtime_api.await_whole_request("/response")
    handler.reset() if reset else handler.close()
    may_go_on.set()
    stage.runner.await_event("post-command-ended", request_id)
    assert stage.next_invocation(stage.runner.connect())
    assert len(stage.runner.events("post-command-ended")) == 1


# The handler drops a poll that is out.


@pytest.fixture
def dropped_poll(stage: Stage) -> Iterator[Stage]:
    """A stage on which one poll is out whose connection has gone away; one more is to go out, and no third."""
    drop_poll(stage)
    yield stage
    assert len(stage.runtime_api.to(NEXT)) == 2


def drop_poll(stage: Stage) -> None:
    handler = stage.runner.connect()
    handler.send_poll()
    stage.runtime_api.await_request(NEXT)
    handler.close()


def test_the_event_of_a_dropped_poll_goes_to_the_next_poll_that_is_made_before_it_comes(
    dropped_poll: Stage,
) -> None:
    handler = dropped_poll.runner.connect()
    handler.send_poll()
    dropped_poll.runner.await_event("poll-relayed", nth=2)
    request_id = dropped_poll.runtime_api.invoke()
    assert handler.read_event() == request_id
    handler.answer(request_id)
    dropped_poll.next_invocation(handler)


def test_the_event_of_a_dropped_poll_goes_to_the_next_poll_that_is_made_after_it_came(
    stage: Stage,
) -> None:
    sent = threading.Event()

    def hand_out(exchange: Exchange) -> None:
        exchange.send(exchange.take_event().response)
        sent.set()

    stage.runtime_api.plan(NEXT, hand_out)
    drop_poll(stage)
    request_id = stage.runtime_api.invoke(b"the event")
    assert sent.wait(10)
    handler = stage.runner.connect()
    handler.send_poll()
    event = handler.read_response()
    assert (event.get("Lambda-Runtime-Aws-Request-Id"), event.body) == (request_id, b"the event")
    assert len(stage.runtime_api.to(NEXT)) == 1
    assert handler.answer(request_id).status == 202
    assert stage.next_invocation(handler)


@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_the_event_of_a_dropped_poll_is_not_lost_though_its_sender_had_said_more(
    stage: Stage, *, reset: bool
) -> None:
    """What it had said is unread then, and stands before the end of the connection."""
    handler = stage.runner.connect()
    handler.send_poll()
    stage.runtime_api.await_request(NEXT)
    handler.send_poll()
    handler.reset() if reset else handler.close()
    request_id = stage.runtime_api.invoke()
    other = stage.runner.connect()
    other.send_poll()
    assert other.read_event() == request_id
    assert len(stage.runtime_api.to(NEXT)) == 1


def test_a_held_poll_whose_sender_said_more_and_went_away_is_never_sent(stage: Stage, gate: Gate) -> None:
    stage.run_after(gate.wait)
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    handler.send_poll()
    stage.runner.await_event("poll-held")
    handler.send_poll()
    handler.close()
    gate.release()
    stage.runner.await_event("post-command-ended")
    assert stage.next_invocation(stage.runner.connect())
    assert len(stage.runner.events("poll-relayed")) == 2


@pytest.mark.parametrize("event_is_first", [False, True])
def test_of_several_dropped_polls_whichever_is_answered_first_serves_the_next_poll(
    stage: Stage, *, event_is_first: bool
) -> None:
    dropped = [stage.runner.connect() for _ in range(3)]
    for handler in dropped:
        handler.send_poll()
    stage.runtime_api.await_request(NEXT, nth=3)
    for handler in dropped:
        handler.close()
    for number in range(4, 7):
        handler = stage.runner.connect()
        request_id = stage.runtime_api.invoke() if event_is_first else ""
        handler.send_poll()
        if not event_is_first:
            stage.runner.await_event("poll-relayed", nth=number)
            request_id = stage.runtime_api.invoke()
        assert handler.read_event() == request_id
        assert handler.answer(request_id).status == 202
        handler.close()
    assert len(stage.runtime_api.to(NEXT)) == 3


def test_a_poll_that_takes_another_over_can_be_dropped_in_its_turn(dropped_poll: Stage) -> None:
    for number in range(2, 5):
        handler = dropped_poll.runner.connect()
        handler.send_poll()
        dropped_poll.runner.await_event("poll-relayed", nth=number)
        handler.close()
    handler = dropped_poll.runner.connect()
    assert dropped_poll.next_invocation(handler)
    assert dropped_poll.next_invocation(handler)


def test_the_command_after_an_event_that_was_taken_over_knows_its_invocation(dropped_poll: Stage) -> None:
    dropped_poll.run_after(f"echo $AWS_LAMBDA_POST_RUNNER_TENANT_ID > {dropped_poll.folder}/tenant")
    handler = dropped_poll.runner.connect()
    request_id = dropped_poll.next_invocation(handler, headers=[("Lambda-Runtime-Aws-Tenant-Id", "blue")])
    handler.answer(request_id)
    dropped_poll.runner.await_event("post-command-ended")
    assert (dropped_poll.folder / "tenant").read_text() == "blue\n"
    handler.send_poll()
    dropped_poll.runtime_api.await_request(NEXT, nth=2)


def test_when_a_dropped_poll_fails_the_poll_that_took_it_over_is_closed_and_the_next_one_goes_out(
    stage: Stage,
) -> None:
    fail_now = threading.Event()

    def fail(exchange: Exchange) -> None:
        fail_now.wait(10)
        exchange.hang_up()

    stage.runtime_api.plan(NEXT, fail)
    drop_poll(stage)
    handler = stage.runner.connect()
    handler.send_poll()
    stage.runner.await_event("poll-relayed", nth=2)
    fail_now.set()
    assert handler.is_closed_by_peer()
    assert stage.next_invocation(stage.runner.connect())
    assert len(stage.runtime_api.to(NEXT)) == 2


def test_a_dropped_poll_that_is_out_when_the_handler_exits_keeps_nobody_waiting(stage: Stage) -> None:
    drop_poll(stage)
    stage.runner.end_handler(4)
    assert stage.runner.wait() == 4


def test_an_event_that_nobody_took_over_keeps_nobody_waiting(stage: Stage) -> None:
    drop_poll(stage)
    stage.runtime_api.invoke()
    stage.runner.end_handler(4)
    assert stage.runner.wait() == 4


# It is answered with something else.


@pytest.mark.parametrize("status", [403, 500])
def test_a_poll_that_is_refused_is_relayed_and_can_be_made_again(stage: Stage, status: int) -> None:
    stage.runtime_api.plan(NEXT, reply(status, b"no"))
    handler = stage.runner.connect()
    handler.send_poll()
    assert (handler.read_response().status, len(stage.runtime_api.to(NEXT))) == (status, 1)
    assert stage.next_invocation(handler)


# Ids.


def test_the_same_request_id_twice_in_a_row_has_two_commands(stage: Stage) -> None:
    handler = stage.runner.connect()
    for _ in range(2):
        handler.answer(stage.next_invocation(handler, request_id="the-same"))
    stage.runner.await_event("post-command-ended", "the-same", nth=2)
    stage.next_invocation(handler)
    assert len(stage.runner.events("post-command-ended")) == 2


def test_two_attempts_with_one_request_id_are_told_apart_by_their_invocation_id(prepare: Prepare) -> None:
    stage = prepare(environment=MANAGED)
    stage.run_after("echo $AWS_LAMBDA_POST_RUNNER_TENANT_ID >> " + str(stage.folder / "tenants"))
    connections = {"first": stage.runner.connect(), "second": stage.runner.connect()}
    for name, handler in connections.items():
        headers = [("Lambda-Runtime-Invocation-Id", name), ("Lambda-Runtime-Aws-Tenant-Id", f"of the {name}")]
        stage.next_invocation(handler, request_id="the-same", headers=headers)
    for number, name in enumerate(["second", "first"], start=1):
        sent_back = {"Lambda-Runtime-Invocation-Id": name}
        connections[name].exchange("POST", answer_path("the-same"), b"{}", sent_back)
        stage.runner.await_event("post-command-ended", nth=number)
    assert (stage.folder / "tenants").read_text() == "of the second\nof the first\n"


def test_a_client_that_polls_again_before_it_answered_gets_the_same_event_and_one_command(
    stage: Stage,
) -> None:
    """As the Runtime API answers it; `COLD_START` tells that it is still the first invocation."""
    stage.run_after(f"echo $AWS_LAMBDA_POST_RUNNER_COLD_START >> {stage.folder}/cold")
    handler = stage.runner.connect()
    same: Script = event("again", deadline_ms=4_000_000_000_000)
    stage.runtime_api.plan(NEXT, same, same)
    assert [handler.poll(), handler.poll()] == ["again", "again"]
    handler.answer("again")
    stage.runner.await_event("post-command-ended")
    assert (stage.folder / "cold").read_text() == "true\n"


def event(request_id: str, deadline_ms: int) -> Script:
    headers = [
        ("Lambda-Runtime-Aws-Request-Id", request_id),
        ("Lambda-Runtime-Deadline-Ms", str(deadline_ms)),
    ]

    def script(exchange: Exchange) -> None:
        exchange.send(response(200, b"{}", headers))

    return script


# Managed Instances: nothing is ever frozen there.


def test_on_managed_instances_16_polls_are_out_at_once_and_none_is_held(prepare: Prepare, gate: Gate) -> None:
    stage = prepare(environment=MANAGED)
    stage.run_after(gate.wait)
    handlers = [stage.runner.connect() for _ in range(16)]
    for handler in handlers:
        handler.send_poll()
    stage.runtime_api.await_request(NEXT, nth=16)
    ids = {stage.runtime_api.invoke() for _ in handlers}
    given = [handler.read_event() for handler in handlers]
    assert set(given) == ids
    for handler, request_id in zip(handlers, given, strict=True):
        assert handler.answer(request_id).status == 202
        handler.send_poll()
    stage.runtime_api.await_request(NEXT, nth=32)
    stage.runner.await_event("post-command-started", nth=16)
    assert stage.runner.events("poll-held") == []
    gate.release(16)
    stage.runner.await_event("post-command-ended", nth=16)


def test_on_managed_instances_16_commands_run_at_once_and_each_knows_its_own_invocation(
    prepare: Prepare, gate: Gate
) -> None:
    stage = prepare(environment=MANAGED)
    stage.run_after(f"{gate.wait}; echo $AWS_LAMBDA_POST_RUNNER_REQUEST_ID >> {stage.folder}/ids")
    handler = stage.runner.connect()
    ids = []
    for _ in range(20):
        ids.append(stage.next_invocation(handler))
        handler.answer(ids[-1])
    stage.runner.await_event("post-command-started", nth=16)
    assert len(stage.runner.events("post-command-started")) == 16
    gate.release()
    stage.runner.await_event("post-command-started", nth=17)
    gate.release(19)
    stage.runner.await_event("post-command-ended", nth=20)
    assert sorted((stage.folder / "ids").read_text().split()) == sorted(ids)


def test_on_managed_instances_a_command_that_still_waits_at_shutdown_is_not_started_and_that_is_reported(
    prepare: Prepare, gate: Gate
) -> None:
    stage = prepare(environment={"AWS_LAMBDA_MAX_CONCURRENCY": "1"})
    stage.run_after(f"trap '' TERM; {gate.wait}")
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    stage.runner.await_event("post-command-started")
    waiting = stage.next_invocation(handler)
    handler.answer(waiting)
    stage.runner.await_event("settled", waiting)
    stage.runner.signal(signal.SIGTERM)
    stage.runner.wait()
    [ended] = stage.runner.events("post-command-ended", waiting)
    assert (ended["problem"], ended["exitStatus"]) == ("the shutdown came first", None)
    assert len(stage.runner.events("post-command-started")) == 1


def test_on_managed_instances_a_client_may_poll_before_it_has_answered(prepare: Prepare) -> None:
    """As those of Node and .NET do."""
    stage = prepare(environment=MANAGED)
    handler = stage.runner.connect()
    first = stage.next_invocation(handler)
    second = stage.next_invocation(handler)
    for request_id in [first, second]:
        assert handler.answer(request_id).status == 202
        assert stage.runner.await_event("post-command-ended", request_id)["exitStatus"] == 0


def test_on_managed_instances_dropped_polls_are_each_taken_over_once(prepare: Prepare) -> None:
    stage = prepare(environment=MANAGED)
    dropped = [stage.runner.connect() for _ in range(3)]
    for handler in dropped:
        handler.send_poll()
    stage.runtime_api.await_request(NEXT, nth=3)
    for handler in dropped:
        handler.close()
    handlers = [stage.runner.connect() for _ in range(3)]
    for number, handler in enumerate(handlers, start=4):
        handler.send_poll()
        stage.runner.await_event("poll-relayed", nth=number)
    ids = {stage.runtime_api.invoke() for _ in handlers}
    assert {handler.read_event() for handler in handlers} == ids
    assert len(stage.runtime_api.to(NEXT)) == 3
