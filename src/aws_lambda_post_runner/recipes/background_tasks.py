"""A FastAPI application under Mangum, whose BackgroundTasks run after the answer."""

import time

from fastapi import BackgroundTasks, FastAPI
from mangum import Mangum

from post_runner.asgi import AfterAnswer

app = FastAPI()


def send_welcome(user: str) -> None:
    """Stand in for something slow."""
    time.sleep(2)
    print(f"welcomed {user} at", time.time(), flush=True)


@app.post("/users/{user}")
def sign_up(user: str, tasks: BackgroundTasks) -> dict[str, str]:
    """Answer at once, and welcome the user after that."""
    tasks.add_task(send_welcome, user)
    return {"user": user}


handler = Mangum(AfterAnswer(app), lifespan="off")  # before: Mangum(app, lifespan="off")
