"""The handler of `dev demo` counts what its thread did after its last answer."""

from aws_lambda_post_runner.dev.demo import Demo, Ticker, handler


def test_it_greets_and_tells_the_ticks_since_its_last_answer() -> None:
    ticker = Ticker()
    demo = Demo(ticker)
    assert demo({"name": "Ada"}, None) == {"greeting": "Hello Ada", "ticksSinceLastAnswer": 0}
    ticker.ticks += 3
    assert demo({}, None) == {"greeting": "Hello world", "ticksSinceLastAnswer": 3}


def test_its_first_event_starts_the_ticker_and_the_second_does_not_again() -> None:
    for _ in range(2):
        assert handler({"name": "Ada"}, None)["greeting"] == "Hello Ada"


def test_the_ticker_ticks_as_long_as_it_is_let() -> None:
    ticker = Ticker()
    ticker.start()
    assert ticker.daemon
    ticker.ticked.wait(5)
    assert ticker.ticks
