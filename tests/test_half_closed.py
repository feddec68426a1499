"""A poll whose sender has shut down its sending half (`nc -N`) is not one that was dropped: it gets its event."""

import socket
import tracemalloc
from pathlib import Path

import pytest

from aws_lambda_post_runner.proxy import half_closed
from aws_lambda_post_runner.proxy.half_closed import is_still_read

from .fake_runtime_api import NEXT
from .running import Gate, HandlerConnection, Stage


def poll_and_say_no_more(stage: Stage) -> HandlerConnection:
    handler = stage.runner.connect()
    handler.send_poll()
    handler.say_no_more()
    return handler


def test_it_gets_its_event(stage: Stage) -> None:
    handler = poll_and_say_no_more(stage)
    stage.runtime_api.await_request(NEXT)
    request_id = stage.runtime_api.invoke()
    assert handler.read_event() == request_id
    assert handler.is_closed_by_peer()
    assert stage.runner.connect().answer(request_id).status == 202


def test_it_gets_its_event_when_it_was_held(stage: Stage, gate: Gate) -> None:
    stage.run_after(gate.wait)
    first = stage.runner.connect()
    first.answer(stage.next_invocation(first))
    handler = poll_and_say_no_more(stage)
    stage.runner.await_event("poll-held")
    gate.release()
    request_id = stage.runtime_api.invoke()
    assert handler.read_event() == request_id


def test_it_gets_its_event_though_it_had_said_more(stage: Stage) -> None:
    handler = stage.runner.connect()
    handler.send_poll()
    stage.runtime_api.await_request(NEXT)
    handler.ask("GET", "/more")
    handler.say_no_more()
    request_id = stage.runtime_api.invoke()
    assert handler.read_event() == request_id
    assert handler.read_response().status == 404


def test_nobody_else_gets_its_event(stage: Stage) -> None:
    """Another connection's poll is a poll of its own."""
    handler = poll_and_say_no_more(stage)
    stage.runtime_api.await_request(NEXT)
    other = stage.runner.connect()
    other.send_poll()
    stage.runtime_api.await_request(NEXT, nth=2)
    ids = {stage.runtime_api.invoke(), stage.runtime_api.invoke()}
    assert {handler.read_event(), other.read_event()} == ids


def test_once_it_has_closed_the_connection_its_poll_was_dropped(stage: Stage) -> None:
    handler = poll_and_say_no_more(stage)
    stage.runtime_api.await_request(NEXT)
    handler.close()
    assert stage.next_invocation(stage.runner.connect())
    assert len(stage.runtime_api.to(NEXT)) == 1


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["IPv4", "IPv4 in IPv6"])
def test_it_is_told_apart_from_one_that_has_closed_the_connection(family: socket.AddressFamily) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(family) as other_end:
        host, port = listener.getsockname()
        other_end.connect((host if family is socket.AF_INET else f"::ffff:{host}", port))
        accepted, _ = listener.accept()
        other_end.shutdown(socket.SHUT_WR)
        assert accepted.recv(1) == b""
        assert is_still_read(accepted)
    with accepted:
        assert not is_still_read(accepted)


def test_where_there_is_no_table_of_connections_it_counts_as_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(half_closed, "_TABLES", [Path("/nowhere/tcp")])
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert not is_still_read(accepted)


def test_a_long_table_is_not_kept_in_memory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It has a line for each connection that ended in the last minute, of whichever process."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        head, line, *_ = Path("/proc/net/tcp").read_text().splitlines(keepends=True)
        table = tmp_path / "tcp"
        table.write_text(head + line * 20_000)
        monkeypatch.setattr(half_closed, "_TABLES", [table])
        with accepted:
            tracemalloc.start()
            try:
                assert not is_still_read(accepted)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
    assert peak < 100_000
