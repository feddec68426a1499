"""What passes through us reaches the other side as it was sent."""

from .running import Stage


def test_a_handler_gets_its_event_and_its_acknowledgement(stage: Stage) -> None:
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler, body=b'{"n":1}')
    assert handler.answer(request_id).status == 202
