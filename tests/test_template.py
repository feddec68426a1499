"""`template` prints deployments in which the settings stand as they were given."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from aws_lambda_post_runner import __version__
from aws_lambda_post_runner.cli.options import WithSettings
from aws_lambda_post_runner.cli.template import template
from aws_lambda_post_runner.dev.templates.render import Architecture, Kind, render
from aws_lambda_post_runner.settings import PREFIX

app = typer.Typer()
app.command()(WithSettings(template))

AWKWARD = """echo "it's ${X} done %{y}" 'z'; curl -s $URL \\ back"""
SETTINGS = {f"{PREFIX}COMMAND": AWKWARD, f"{PREFIX}MODE": "AfterResponse"}


def rendered(kind: Kind) -> str:
    return render(kind, Architecture.ARM64, 30, SETTINGS)


@pytest.mark.parametrize("kind", list(Kind))
def test_no_placeholder_is_left(kind: Kind) -> None:
    assert not re.search("@[A-Z_]+@", rendered(kind))
    assert "/aws-lambda-post-runner" in rendered(kind) or "/opt/entry.sh" in rendered(kind)


@pytest.mark.parametrize("kind", [Kind.SAM, Kind.CDK, Kind.TERRAFORM])
def test_the_layer_is_this_versions_for_the_processor(kind: Kind) -> None:
    assert f"aws-lambda-post-runner-{__version__}-arm64.zip" in rendered(kind)


def test_yaml_has_the_settings_as_they_were_given() -> None:
    yaml = pytest.importorskip("yaml")
    text = rendered(Kind.SAM).replace("!Ref", "")
    function = yaml.safe_load(text)["Resources"]["Function"]["Properties"]
    variables = function["Environment"]["Variables"]
    assert variables == {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/entry.sh", **SETTINGS}
    assert function["Timeout"] == 30
    assert function["Architectures"] == ["arm64"]


def test_python_has_the_settings_as_they_were_given() -> None:
    tree = ast.parse(rendered(Kind.CDK))
    keywords = (keyword for node in ast.walk(tree) if isinstance(node, ast.Call) for keyword in node.keywords)
    [variables] = [ast.literal_eval(each.value) for each in keywords if each.arg == "environment"]
    assert variables == {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/entry.sh", **SETTINGS}


def test_terraform_has_the_settings_with_its_own_quotes() -> None:
    [line] = [line for line in rendered(Kind.TERRAFORM).splitlines() if "COMMAND" in line]
    value = line.partition(" = ")[2].replace("$${", "${").replace("%%{", "%{")
    assert json.loads(value) == AWKWARD


def test_docker_has_the_settings_with_its_own_quotes() -> None:
    [line] = [line for line in rendered(Kind.DOCKERFILE).splitlines() if "COMMAND" in line]
    # A shell reads double quotes as a Dockerfile does.
    assignment = line.removeprefix("ENV ").partition("=")[2]
    shell = subprocess.run(
        ["sh", "-c", f"printf %s {assignment}"], capture_output=True, text=True, check=True, timeout=10
    )
    assert shell.stdout == AWKWARD


@pytest.mark.parametrize("architecture", list(Architecture))
def test_a_runtimes_image_gets_this_versions_executable_for_the_processor(architecture: Architecture) -> None:
    text = render(Kind.RUNTIME, architecture, 30, SETTINGS)
    assert (
        f"COPY --chmod=755 aws-lambda-post-runner-{__version__}-{architecture.value} /usr/local/bin/" in text
    )


STARTED = """#!/bin/sh
printf '%s\\n' "$@" "$AWS_LAMBDA_POST_RUNNER_COMMAND" "$AWS_LAMBDA_POST_RUNNER_MODE" "${AWS_LAMBDA_EXEC_WRAPPER-unset}"
"""


def bootstrap_in(folder: Path) -> Path:
    """The bootstrap that a runtime's image gets, with what it starts in this folder instead."""
    [script] = re.findall(
        'COPY [^\n]* <<"(END-OF-BOOTSTRAP)" [^\n]*\n(.*?)\n\\1\n', rendered(Kind.RUNTIME), re.DOTALL
    )
    for name, place, text in (
        ("bootstrap", "/var/runtime", script[1] + "\n"),
        ("aws-lambda-post-runner", "/usr/local/bin", STARTED),
    ):
        file = folder / name
        file.write_text(text.replace("/var/runtime", str(folder)).replace(place, str(folder)))
        file.chmod(0o755)
    bootstrap = folder / "bootstrap"
    bootstrap.write_text(bootstrap.read_text().replace("/usr/local/bin", str(folder)))
    return bootstrap


@pytest.mark.parametrize(
    ("environ", "command", "wrapper"),
    [
        ({}, AWKWARD, "unset"),
        ({f"{PREFIX}COMMAND": "./own.sh"}, "./own.sh", "unset"),
        ({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/other"}, AWKWARD, "/opt/other"),
        ({"AWS_LAMBDA_EXEC_WRAPPER": "/opt/entry.sh"}, AWKWARD, "unset"),
        ({"AWS_LAMBDA_EXEC_WRAPPER": "/usr/local/bin/aws-lambda-post-runner"}, AWKWARD, "unset"),
    ],
)
def test_a_runtimes_bootstrap_starts_the_former_one_through_us_and_a_functions_own_settings_win(
    environ: dict[str, str], command: str, wrapper: str, tmp_path: Path
) -> None:
    bootstrap = bootstrap_in(tmp_path)
    done = subprocess.run(
        [bootstrap, "an argument"],
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=True,
        timeout=10,
    )
    former = str(tmp_path / "bootstrap.lambda")
    assert done.stdout.splitlines() == [former, "an argument", command, "AfterResponse", wrapper]


@pytest.mark.interop
@pytest.mark.parametrize(
    ("tool", "kind", "file", "arguments"),
    [
        ("cfn-lint", Kind.SAM, "template.yaml", ["template.yaml"]),
        ("hadolint", Kind.DOCKERFILE, "Dockerfile", ["Dockerfile"]),
        ("hadolint", Kind.RUNTIME, "Dockerfile", ["Dockerfile"]),
        ("terraform", Kind.TERRAFORM, "main.tf", ["fmt", "-check", "-diff", "main.tf"]),
    ],
)
def test_each_kinds_own_tool_has_nothing_to_say(
    tmp_path: Path, tool: str, kind: Kind, file: str, arguments: list[str]
) -> None:
    program = shutil.which(tool, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip(f"{tool} is not installed")
    (tmp_path / file).write_text(rendered(kind))
    done = subprocess.run(
        [program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_command_prints_the_environments_settings_and_its_own_flags() -> None:
    environ = {f"{PREFIX}COMMAND": "./from-environment.sh", f"{PREFIX}MARGIN": "1s"}
    done = CliRunner(env=environ).invoke(app, ["sam"])
    assert done.exit_code == 0
    assert f'{PREFIX}COMMAND: "./from-environment.sh"' in done.output
    assert f'{PREFIX}MARGIN: "1s"' in done.output
    done = CliRunner(env=environ).invoke(
        app, ["dockerfile", "--command", "./given.sh", "--function-timeout", "1m"]
    )
    assert f'{PREFIX}COMMAND="./given.sh"' in done.output


@pytest.mark.parametrize(
    ("environ", "arguments", "words"),
    [
        ({f"{PREFIX}MODE": "AfterResponce"}, [], "did you mean AfterResponse?"),
        ({f"{PREFIX}TIMEOUT": "30"}, [], "the unit is missing"),
        ({}, ["--command", ""], "COMMAND is empty"),
    ],
)
def test_settings_that_run_would_refuse_are_refused(
    environ: dict[str, str], arguments: list[str], words: str
) -> None:
    done = CliRunner(env=environ).invoke(app, ["sam", *arguments])
    assert done.exit_code == 2
    assert done.stdout == ""
    assert words in " ".join(done.stderr.replace("│", " ").split())


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    done = CliRunner().invoke(app, ["pulumi"])
    assert done.exit_code == 2
    assert "terraform" in done.stderr
