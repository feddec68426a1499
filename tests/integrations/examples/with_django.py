"""What happens when a response of Django's is closed, under apig-wsgi."""

from collections.abc import Callable

from apig_wsgi import make_lambda_handler
from django.conf import settings
from django.core.signals import request_finished
from django.core.wsgi import get_wsgi_application
from django.dispatch import receiver
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import path

import slow
from post_runner.wsgi import AfterAnswer

to_do: list[Callable[[], object]] = []


@receiver(request_finished)
def do_what_is_left(**_: object) -> None:
    """Django sends this when the response is closed."""
    while to_do:
        to_do.pop()()


def sign_up(_request: HttpRequest, user: str) -> HttpResponse:
    """Answer at once, and welcome the user after that."""
    to_do.append(lambda: slow.work("welcome"))
    return JsonResponse({"user": user})


def fail(_request: HttpRequest, when: str) -> HttpResponse:
    """Fail before the answer, or after it."""
    if when == "before":
        raise ZeroDivisionError
    to_do.append(lambda: _divide(1, 0))
    return HttpResponse("answered")


def _divide(dividend: int, divisor: int) -> float:
    return dividend / divisor


urlpatterns = [path("users/<user>", sign_up), path("fails/<when>", fail)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], MIDDLEWARE=[])
app = get_wsgi_application()

handler = make_lambda_handler(AfterAnswer(app))
