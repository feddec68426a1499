"""A background task of Starlette's under Mangum."""

from mangum import Mangum
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import slow
from post_runner.asgi import AfterAnswer


def sign_up(request: Request) -> JSONResponse:
    """Answer at once, and welcome the user after that."""
    return JSONResponse(request.path_params, background=BackgroundTask(slow.work, "welcome"))


def fail(request: Request) -> JSONResponse:
    """Fail before the answer, or after it."""
    if request.path_params["when"] == "before":
        raise ZeroDivisionError
    return JSONResponse("answered", background=BackgroundTask(_divide, 1, 0))


def _divide(dividend: int, divisor: int) -> float:
    return dividend / divisor


app = Starlette(
    routes=[
        Route("/users/{user}", sign_up, methods=["POST"]),
        Route("/fails/{when}", fail, methods=["POST"]),
    ]
)

handler = Mangum(AfterAnswer(app), lifespan="off")
