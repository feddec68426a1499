"""`call_on_close` under apig-wsgi."""

from apig_wsgi import make_lambda_handler
from flask import Flask, Response, jsonify

import slow
from post_runner.wsgi import AfterAnswer

app = Flask(__name__)


@app.post("/users/<user>")
def sign_up(user: str) -> Response:
    """Answer at once, and welcome the user after that."""
    response = jsonify(user=user)
    response.call_on_close(lambda: slow.work("welcome"))
    return response


@app.post("/fails/<when>")
def fail(when: str) -> Response:
    """Fail before the answer, or after it."""
    if when == "before":
        raise ZeroDivisionError
    response = Response("answered")
    response.call_on_close(lambda: _divide(1, 0))
    return response


def _divide(dividend: int, divisor: int) -> float:
    return dividend / divisor


handler = make_lambda_handler(AfterAnswer(app))
