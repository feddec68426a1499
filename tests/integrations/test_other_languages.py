"""The files for other languages do what the HTTP table says, each in a program of its language."""

import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import aws_lambda_post_runner
from tests.conftest import Prepare
from tests.fake_runtime_api import PATIENCE
from tests.running import plain_environment

FILES = Path(aws_lambda_post_runner.__file__).parent / "other_languages"
PROGRAMS = Path(__file__).parent / "languages"
COMPILE_LIMIT = 150.0

Make = Callable[[Path], list[str]]
"""Puts a program together in a folder; returns the command that runs it."""


def compile_with(folder: Path, *command: str, environment: Mapping[str, str] | None = None) -> None:
    variables = {**plain_environment(), **(environment or {})}
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables,
        check=False,
        capture_output=True,
        text=True,
        timeout=COMPILE_LIMIT,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def make_ruby(folder: Path) -> list[str]:
    shutil.copy(FILES / "post_runner.rb", folder)
    shutil.copy(PROGRAMS / "use.rb", folder)
    return ["ruby", "-w", str(folder / "use.rb")]


def make_php(folder: Path) -> list[str]:
    shutil.copy(FILES / "post_runner.php", folder)
    shutil.copy(PROGRAMS / "use.php", folder)
    return ["php", "-d", "display_errors=stderr", str(folder / "use.php")]


def make_go(folder: Path) -> list[str]:
    package = folder / "src" / "postrunner"
    package.mkdir(parents=True)
    shutil.copy(FILES / "postrunner.go", package)
    shutil.copy(PROGRAMS / "use.go", folder)
    alone = {"GOPATH": str(folder), "GO111MODULE": "off", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
    compile_with(folder, "go", "build", "-o", "use", "use.go", environment=alone)
    return [str(folder / "use")]


def make_java(folder: Path) -> list[str]:
    compile_with(folder, "javac", "-d", ".", str(FILES / "PostRunner.java"), str(PROGRAMS / "Use.java"))
    return ["java", "-cp", str(folder), "Use"]


def make_dotnet(folder: Path) -> list[str]:
    compile_with(folder, "dotnet", "new", "console", "--name", "use", "--output", ".")
    shutil.copy(FILES / "PostRunner.cs", folder)
    shutil.copy(PROGRAMS / "Program.cs", folder)
    compile_with(folder, "dotnet", "build", "--output", "built")
    return ["dotnet", str(folder / "built" / "use.dll")]


LANGUAGES: dict[str, tuple[str, Make]] = {
    "ruby": ("ruby", make_ruby),
    "go": ("go", make_go),
    "java": ("javac", make_java),
    "php": ("php", make_php),
    "dotnet": ("dotnet", make_dotnet),
}
"""What each needs, and how its program is made."""


@pytest.fixture(scope="module", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> str:
    """Each language whose tools are here."""
    name: str = request.param
    tool, _ = LANGUAGES[name]
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    return name


@pytest.fixture(scope="module")
def program(language: str, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that runs its program."""
    return LANGUAGES[language][1](tmp_path_factory.mktemp(language))


class Process:
    """The program, which the test talks to by lines."""

    def __init__(self, program: list[str], address: str | None) -> None:
        told = {} if address is None else {"AWS_LAMBDA_RUNTIME_API": address}
        self._process = subprocess.Popen(
            program,
            env={**plain_environment(), **told},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()

    def end(self) -> str:
        """Let it end; return what it said on standard error."""
        _, errors = self._process.communicate("end\n", timeout=PATIENCE)
        assert self._process.returncode == 0, errors
        return errors


@pytest.mark.parametrize("how", ["go on", "fail"])
def test_it_hands_over_work_and_is_waited_for_whether_it_fails_or_not(
    prepare: Prepare, tmp_path: Path, language: str, program: list[str], how: str
) -> None:
    stage = prepare(MODE="OnRequest")
    stage.run_after(f"cat > {tmp_path}/input")
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    process = Process(program, "{}:{}".format(*stage.runner.address))
    assert process.read() == "true"
    assert process.read() == "begun"
    assert stage.runner.await_event("wait-begun", request_id)["name"] == "named"
    handler.answer(request_id)
    handler.send_poll()
    stage.runner.await_event("poll-held")
    stage.runner.await_event("post-command-ended", request_id)
    assert (tmp_path / "input").read_text() == f'{{"from":"{language}"}}\n'
    assert stage.runner.events("waits-ended") == []
    process.write(how)
    assert stage.runner.await_event("waits-ended", request_id)["expired"] == 0
    stage.runner.await_event("poll-relayed", nth=2)
    errors = process.end()
    assert ("by zero" in errors) == (how == "fail"), errors


@pytest.mark.parametrize("address", [None, "127.0.0.1:1"])
def test_without_the_runner_its_work_goes_on(program: list[str], address: str | None) -> None:
    process = Process(program, address)
    assert process.read() == "false"
    assert process.read() == "begun"
    process.write("go on")
    assert process.end() == ""
