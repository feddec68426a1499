"""BackgroundTasks under Mangum."""

from fastapi import BackgroundTasks, FastAPI
from mangum import Mangum

import slow
from post_runner.asgi import AfterAnswer

app = FastAPI()


@app.post("/users/{user}")
def sign_up(user: str, tasks: BackgroundTasks) -> dict[str, str]:
    """Answer at once, and welcome the user after that."""
    tasks.add_task(slow.work, "welcome")
    return {"user": user}


@app.post("/fails/{when}")
def fail(when: str, tasks: BackgroundTasks) -> str:
    """Fail before the answer, or after it."""
    if when == "before":
        raise ZeroDivisionError
    tasks.add_task(_divide, 1, 0)
    return "answered"


def _divide(dividend: int, divisor: int) -> float:
    return dividend / divisor


handler = Mangum(AfterAnswer(app), lifespan="off")
