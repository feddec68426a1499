"""`dev` finds out what to run: from words, a template and a file of variables."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aws_lambda_post_runner.dev.emulator.environment import Options
from aws_lambda_post_runner.dev.local_function import NODE_LOOP, NoFunctionError, Wanted, find_function
from aws_lambda_post_runner.dev.testing import RunningFunction
from aws_lambda_post_runner.settings import PREFIX

COMMAND, MODE = f"{PREFIX}COMMAND", f"{PREFIX}MODE"
Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file into the folder that `dev` is called in."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: object())  # as if awslambdaric were installed

    def to(name: str, text: str) -> Path:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return to


def template(**functions: dict[str, Any]) -> str:
    resources = {
        name: {"Type": "AWS::Serverless::Function", "Properties": properties}
        for name, properties in functions.items()
    }
    return json.dumps({"Resources": resources})


PYTHON = {"Runtime": "python3.13", "Handler": "app.handler", "CodeUri": "src", "Timeout": 7}


def test_a_command_is_run_as_it_is(write: Write) -> None:
    write("app.mjs", "serve()")
    assert find_function(Wanted(["node", "app.mjs"]), {}).handler == ("node", "app.mjs")
    assert find_function(Wanted(["./bootstrap", "x"]), {}).handler == ("./bootstrap", "x")


@pytest.mark.parametrize("words", [["app"], ["demo", "twice"], ["no-such-program", "app.handler"]])
def test_a_word_that_is_no_program_is_refused_with_what_could_be_meant(
    write: Write, words: list[str]
) -> None:
    write("app.py", "")
    with pytest.raises(
        NoFunctionError, match=rf"^{words[0]}: there is no such program; .* such as app\.handler"
    ):
        find_function(Wanted(words), {})
    bin_folder = write(f"bin/{words[0]}", "").parent
    (bin_folder / words[0]).chmod(0o755)
    assert find_function(Wanted(words), {"PATH": str(bin_folder)}).handler == tuple(words)


def test_a_handler_as_lambda_has_it_is_found_beside_us(write: Write) -> None:
    write("app.py", "")
    write("web.mjs", "export const handler = 1")
    assert find_function(Wanted(["app.main"]), {}).handler == (
        sys.executable,
        "-m",
        "awslambdaric",
        "app.main",
    )
    assert find_function(Wanted(["web.main"]), {}).handler == ("node", str(NODE_LOOP), "web.mjs", "main")
    with pytest.raises(NoFunctionError, match=r"none of other\.py, other\.mjs"):
        find_function(Wanted(["other.main"]), {})


@pytest.mark.parametrize("text", ["export const handler = 1", "exports.handler = 1", "export { handler };"])
def test_a_file_of_node_that_exports_a_handler_needs_a_client_and_gets_one(write: Write, text: str) -> None:
    write("app.mjs", text)
    function = find_function(Wanted(["node", "app.mjs"]), {})
    assert function.handler == ("node", str(NODE_LOOP), "app.mjs", "handler")
    assert "a small loop of our own" in function.notes[0]


def test_the_client_that_the_project_has_comes_first(write: Write) -> None:
    write("app.mjs", "export const handler = 1")
    client = write("node_modules/.bin/aws-lambda-ric", "")
    function = find_function(Wanted(["node", "app.mjs"]), {COMMAND: "true"})
    assert function.handler == ("node", str(client), "app.handler")
    assert function.notes == ()


def test_without_a_post_command_only_waits_count_and_that_is_said(write: Write) -> None:
    write("app.py", "")
    function = find_function(Wanted(["app.handler"]), {"A": "b"})
    assert function.environ == {"A": "b", MODE: "WaitUntil"}
    assert "--command sets one" in function.notes[0]
    assert find_function(Wanted(["app.handler"]), {MODE: "OnRequest"}).environ == {MODE: "OnRequest"}


def test_a_template_says_the_handler_its_folder_its_timeout_and_its_events(write: Write) -> None:
    events = {"Queue": {"Type": "SQS"}, "Other": {"Type": "MSK"}}
    file = write("template.json", template(F=PYTHON | {"Events": events}))
    write("src/app.py", "")
    function = find_function(Wanted([], template=file), {COMMAND: "true"})
    assert function.handler[-2:] == ("awslambdaric", "app.handler")
    assert function.folder == file.parent / "src"
    assert function.timeout_s == 7
    assert function.notes == ("SQS invokes it as aws-lambda-post-runner invoke --example sqs does",)


def test_a_template_of_several_functions_needs_a_name(write: Write) -> None:
    node = {"Runtime": "nodejs24.x", "Handler": "web.main", "CodeUri": "src"}
    file = write("template.json", template(One=PYTHON, Two=node))
    write("src/web.js", "")
    assert find_function(Wanted(["Two"], template=file), {}).handler[2:] == ("web.js", "main")
    with pytest.raises(NoFunctionError, match="it has: One, Two"):
        find_function(Wanted([], template=file), {})


def test_a_templates_function_can_be_given_its_command(write: Write) -> None:
    file = write("template.json", template(J={"Runtime": "java25", "Handler": "x.Y"}))
    assert find_function(Wanted(["J", "java", "-jar", "x"], template=file), {}).handler == (
        "java",
        "-jar",
        "x",
    )
    with pytest.raises(NoFunctionError, match="J runs on java25"):
        find_function(Wanted([], template=file), {})


def test_of_a_variable_that_is_set_twice_the_nearer_counts(write: Write) -> None:
    variables = dict.fromkeys("ABC", "template")
    file = write("template.json", template(F=PYTHON | {"Environment": {"Variables": variables}}))
    env_file = write(".env", "B=file\nC=file\n")
    environ = dict.fromkeys("ABCD", "environment")
    wanted = Wanted([], template=file, env_file=env_file, given={"C": "option", COMMAND: "true"})
    function = find_function(wanted, environ)
    assert [function.environ[name] for name in "ABCD"] == ["template", "file", "option", "environment"]


def test_what_is_missing_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("app.py", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(NoFunctionError, match="pip install awslambdaric"):
        find_function(Wanted(["app.handler"]), {})
    with pytest.raises(NoFunctionError, match="say what starts the handler"):
        find_function(Wanted([]), {})


HANDLERS = """
import { createRequire } from 'node:module';
const { waitUntil } = createRequire(import.meta.url)('post-runner');

export const answer = async (event, context) => {
  waitUntil(new Promise((done) => setTimeout(done, 50)).then(() => console.log(`waited in ${event.n}`)));
  return { n: event.n, left: context.getRemainingTimeInMillis() > 0 };
};
export const callback = (event, context, done) => { done(null, event); };
export const fail = async () => { throw new TypeError('as told'); };
export const stream = awslambda.streamifyResponse(async (event, body) => { body.write('one '); body.end('two'); });
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
def test_the_loop_for_node_runs_every_form_of_handler(tmp_path: Path) -> None:
    (tmp_path / "app.mjs").write_text(HANDLERS)
    environ = {"PATH": os.environ["PATH"], MODE: "WaitUntil"}
    answers = {}
    for name in ("answer", "callback", "fail", "stream", "missing"):
        options = Options(("node", str(NODE_LOOP), "app.mjs", name), 20, environ=environ, folder=tmp_path)
        with RunningFunction(options) as function:
            answers[name] = function.invoke({"n": 1})
            answers[name].post_work()
            if name == "answer":
                assert "waited in 1" in function.output
    assert answers["answer"].json() == {"n": 1, "left": True}
    assert answers["callback"].json() == {"n": 1}
    assert answers["fail"].json()["errorType"] == "TypeError"
    assert answers["stream"].body == b"one two"
    assert "exports no function missing" in answers["missing"].json()["errorMessage"]
