"""Headers that speak of one connection stay on it, in both directions; all others go on."""

import socket
import time

import pytest

from .fake_runtime_api import reply
from .running import Stage

PATH = "/2018-06-01/odd"


@pytest.mark.parametrize("connection", ["X-Private", "keep-alive, x-private", "X-PRIVATE ,\tkeep-alive"])
def test_what_the_handlers_connection_header_names_does_not_go_on(stage: Stage, connection: str) -> None:
    headers = {"X-Private": "of this connection", "X-Public": "for all", "Connection": connection}
    stage.runner.connect().exchange("POST", PATH, b"body", headers)
    request = stage.runtime_api.await_whole_request(PATH)
    assert (request.get("X-Private"), request.get("X-Public"), request.get("Connection")) == (
        "",
        "for all",
        "",
    )
    assert request.body == b"body"


def test_what_the_runtime_apis_connection_header_names_does_not_go_on(stage: Stage) -> None:
    headers = [("X-Private", "of this connection"), ("X-Public", "for all"), ("Connection", "x-private")]
    stage.runtime_api.plan(PATH, reply(200, b"body", headers))
    answer = stage.runner.connect().exchange("GET", PATH)
    assert (answer.get("X-Private"), answer.get("X-Public"), answer.get("Connection")) == ("", "for all", "")
    assert answer.body == b"body"


@pytest.mark.parametrize("name", ["Content-Length", "Host"])
def test_a_header_that_no_request_can_do_without_goes_on_though_it_is_named(stage: Stage, name: str) -> None:
    stage.runner.connect().exchange("POST", PATH, b"body", {"Connection": name})
    request = stage.runtime_api.await_whole_request(PATH)
    assert (request.get("Content-Length"), request.get("Host")) == ("4", "runtime-api")


@pytest.mark.parametrize("connection", ["not-close", "closed, enclose"])
def test_a_handlers_connection_is_kept_when_close_is_only_a_part_of_a_word(
    stage: Stage, connection: str
) -> None:
    handler = stage.runner.connect()
    assert handler.exchange("GET", PATH, headers={"Connection": connection}).get("Connection") == ""
    assert handler.exchange("GET", PATH).status == 404


def test_a_connection_to_the_runtime_api_is_kept_when_close_is_only_a_part_of_a_word(stage: Stage) -> None:
    stage.runtime_api.plan(PATH, reply(200, b"", [("Connection", "not-close")]))
    handler = stage.runner.connect()
    handler.exchange("GET", PATH)
    handler.exchange("GET", PATH)
    assert [request.connection for request in stage.runtime_api.requests] == [1, 1]


@pytest.mark.parametrize("connection", ["Close", "keep-alive, CLOSE"])
def test_close_is_heard_among_other_words_and_in_whatever_case(stage: Stage, connection: str) -> None:
    handler = stage.runner.connect()
    assert handler.exchange("GET", PATH, headers={"Connection": connection}).get("Connection") == "close"
    assert handler.is_closed_by_peer()


def test_a_long_answer_arrives_whole_though_more_was_sent_than_the_request_that_closes_the_connection(
    stage: Stage,
) -> None:
    """Closing with something unread would reset the connection, and what is still on its way be lost."""
    stage.runtime_api.plan(PATH, reply(200, bytes(1_000_000)))
    handler = stage.runner.connect()
    handler.send(f"GET {PATH} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode() + bytes(50_000))
    begin = handler.read_head()
    gives_up_at = time.monotonic() + 0.5
    while time.monotonic() < gives_up_at and is_established(handler.sock):
        time.sleep(0.01)
    assert len(handler.receive_rest()) == int(begin.get("Content-Length"))


def is_established(sock: socket.socket) -> bool:
    """Tell whether nothing is known of an end, by the first byte of what TCP_INFO tells (Linux's tcp_states.h)."""
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == 1
