"""What web frameworks do after the answer."""

import pytest

from .conftest import Stage, await_freeze, await_line, http_event

IN_PYTHON = ["with_fastapi", "with_starlette", "with_flask", "with_django"]
IN_NODE = ["with_hono", "with_express", "with_vercel", "nitro2", "nitro3", "next"]

frameworks = pytest.mark.parametrize("name", [*IN_PYTHON, *IN_NODE])


@frameworks
def test_its_work_begins_with_the_answer_and_ends_before_the_freeze(stage: Stage, name: str) -> None:
    function = stage.run_example(name)
    for _ in range(2):
        before = len(function.moments)
        answer = function.invoke(http_event("POST", "/users/ann"))
        assert (
            answer.json()["statusCode"] == 200
        )  # the work waits until we open the gate, and the caller does not
        stage.open_gate()
        done = await_line(function, "welcome done", before)
        assert done < await_freeze(function)
        stage.close_gate()


@frameworks
def test_without_the_runner_its_work_stands_still(stage: Stage, name: str) -> None:
    function = stage.run_example(name, runner=False)
    assert function.invoke(http_event("POST", "/users/ann")).json()["statusCode"] == 200
    await_freeze(function)
    stage.open_gate()
    assert not [line for line in function.output if "welcome done" in line]


@frameworks
def test_its_work_that_fails_is_logged_before_the_freeze_and_harms_nobody(stage: Stage, name: str) -> None:
    function = stage.run_example(name)
    for _ in range(2):
        before = len(function.moments)
        answer = function.invoke(http_event("POST", "/fails/after"))
        assert answer.json()["statusCode"] == 200
        assert await_line(function, "dividend / divisor", before) < await_freeze(function)


@frameworks
def test_it_fails_before_the_answer_as_ever(stage: Stage, name: str) -> None:
    function = stage.run_example(name)
    assert function.invoke(http_event("POST", "/fails/before")).json()["statusCode"] == 500
    await_freeze(function)


@pytest.mark.parametrize(
    ("name", "called"),
    [
        ("with_fastapi", "POST /users/ann"),
        ("with_flask", "POST /users/ann"),
        ("with_hono", "hono"),
        ("with_vercel", "vercel"),
    ],
)
def test_dev_shows_what_it_waits_for_by_name(stage: Stage, name: str, called: str) -> None:
    function = stage.run_example(name)
    stage.open_gate()
    assert function.invoke(http_event("POST", "/users/ann")).json()["statusCode"] == 200
    await_freeze(function)
    (wait,) = function.blocks[0].named_waits
    assert wait.name == called
    assert wait.ended is not None
