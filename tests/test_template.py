"""`template` prints deployments in which the settings stand as they were given."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from aws_lambda_post_runner import __version__
from aws_lambda_post_runner.cli.options import WithSettings
from aws_lambda_post_runner.cli.template import template
from aws_lambda_post_runner.dev.check.findings import findings
from aws_lambda_post_runner.dev.check.read import read_file
from aws_lambda_post_runner.dev.templates.project import write_project
from aws_lambda_post_runner.dev.templates.render import (
    Architecture,
    Deployment,
    Kind,
    render,
    render_snippet,
)
from aws_lambda_post_runner.dev.templates.runtimes import NEWEST, RUNTIMES
from aws_lambda_post_runner.settings import PREFIX

app = typer.Typer()
app.command()(WithSettings(template))

AWKWARD = """echo "it's ${X} done %{y}" 'z'; curl -s $URL \\ back"""
SETTINGS = {f"{PREFIX}COMMAND": AWKWARD, f"{PREFIX}MODE": "AfterResponse"}
SNIPPET = Deployment(Architecture.ARM64, 30, SETTINGS, RUNTIMES[NEWEST])


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


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("kind", list(Kind))
def test_each_runtime_can_be_chosen_for_each_kind(kind: Kind, runtime: str) -> None:
    done = CliRunner().invoke(app, [kind.value, "--runtime", runtime])
    assert done.exit_code == 0
    assert not re.search("@[A-Z_]+@", done.stdout)
    named = RUNTIMES[runtime].image if kind in {Kind.DOCKERFILE, Kind.RUNTIME} else runtime
    assert named in done.stdout
    if kind is not Kind.RUNTIME:
        assert ("AWS_LAMBDA_EXEC_WRAPPER" in done.stdout) == RUNTIMES[runtime].has_wrapper


def test_an_unknown_runtime_is_refused_with_the_known_ones() -> None:
    done = CliRunner().invoke(app, ["sam", "--runtime", "python2.7"])
    assert done.exit_code == 2
    assert "nodejs24.x" in done.stderr


def test_code_that_is_not_in_the_template_is_said_to_be_needed() -> None:
    done = CliRunner().invoke(app, ["sam", "--command", "./flush.sh"])
    assert "CodeUri: function/" in done.stdout
    assert (
        done.stderr == "it takes index.py and flush.sh from function/ beside it; --out FOLDER writes them\n"
    )
    assert CliRunner().invoke(app, ["sam"]).stderr == ""
    done = CliRunner().invoke(app, ["sam", "--runtime", "java25"])
    assert done.stderr.endswith("--out FOLDER writes all but the built function\n")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("kind", [Kind.SAM, Kind.DOCKERFILE])
def test_check_has_nothing_to_say_of_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind, runtime: str
) -> None:
    """So that a deployed function's command is really there."""
    monkeypatch.chdir(tmp_path)
    words = [kind.value, "--runtime", runtime, "--command", "./flush.sh", "--out", "example"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.stderr
    [config] = read_file(tmp_path / done.stdout.splitlines()[0])
    assert findings(config) == []
    assert os.access(tmp_path / "example" / "function" / "flush.sh", os.X_OK)


def test_a_command_that_is_here_already_is_what_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "flush.sh").write_text("#!/bin/sh\necho mine\n")
    (tmp_path / "flush.sh").chmod(0o755)
    CliRunner().invoke(app, ["sam", "--command", "./flush.sh", "--out", "example"])
    written = tmp_path / "example" / "function" / "flush.sh"
    assert "mine" in written.read_text()
    assert os.access(written, os.X_OK)


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "function").mkdir()
    (tmp_path / "function" / "index.py").write_text("mine")
    done = CliRunner().invoke(app, ["sam", "--command", "./flush.sh", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert "left as it is" in " ".join(done.stderr.replace("│", " ").split())
    assert [path.name for path in tmp_path.iterdir()] == ["function"]


@pytest.mark.parametrize("language", ["python3.14", "nodejs24.x"])
def test_what_is_written_answers_under_dev_and_its_command_ends_well(tmp_path: Path, language: str) -> None:
    """Whatever Python and Node there are here: the code is meant for all of them."""
    if language.startswith("python"):
        pytest.importorskip("awslambdaric")
    elif shutil.which("node") is None:
        pytest.skip("node is not installed")
    pytest.importorskip("yaml")
    words = ["sam", "--runtime", language, "--command", "./flush.sh", "--out", str(tmp_path)]
    assert CliRunner().invoke(app, words).exit_code == 0
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "aws_lambda_post_runner",
            "dev",
            "--template",
            "template.yaml",
            "--event",
            "{}",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Hello world" in done.stdout
    assert "post work for " in done.stdout


def test_a_snippet_has_the_settings_and_no_function() -> None:
    for kind in set(Kind) - {Kind.RUNTIME}:
        done = CliRunner().invoke(app, [kind.value, "--snippet", "--command", "./flush.sh"])
        assert done.exit_code == 0
        assert "./flush.sh" in done.stdout
        assert "index.handler" not in done.stdout
        assert done.stderr == ""


def test_a_snippet_cannot_be_written(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["sam", "--snippet", "--out", str(tmp_path)])
    assert done.exit_code == 2
    assert CliRunner().invoke(app, ["runtime", "--snippet"]).exit_code == 2


def program(tool: str) -> str:
    """A linter's path; the test is skipped where there is none."""
    found = shutil.which(tool, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if found is None:
        pytest.skip(f"{tool} is not installed")
    return found


def lint(folder: Path, *argv: str) -> None:
    """Run a linter where its files are; whatever it says is a failure."""
    done = subprocess.run(
        [program(argv[0]), *argv[1:]], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.interop
def test_cfn_lint_has_nothing_to_say_whatever_the_runtime(tmp_path: Path) -> None:
    program("cfn-lint")
    for runtime in RUNTIMES.values():
        for settings in (SETTINGS, {f"{PREFIX}COMMAND": "./flush.sh"}):
            name = f"{runtime.name}-{len(settings)}.yaml"
            (tmp_path / name).write_text(render(Kind.SAM, Architecture.ARM64, 30, settings, runtime))
    lint(tmp_path, "cfn-lint", *(path.name for path in tmp_path.iterdir()))


@pytest.mark.interop
def test_a_snippet_in_a_template_lints() -> None:
    """Its Globals and Resources beside a function."""
    yaml = pytest.importorskip("yaml")
    lines = render_snippet(Kind.SAM, SNIPPET).replace("!Ref ", "").splitlines()
    merged = yaml.safe_load("\n".join(lines))
    assert set(merged) == {"Globals", "Resources"}
    assert merged["Globals"]["Function"]["Layers"] == list(merged["Resources"])


@pytest.mark.interop
@pytest.mark.parametrize("runtime", ["python3.14", "nodejs24.x", "java25", "provided.al2023"])
def test_hadolint_has_nothing_to_say_whatever_the_runtime(tmp_path: Path, runtime: str) -> None:
    text = render(Kind.DOCKERFILE, Architecture.ARM64, 30, SETTINGS, RUNTIMES[runtime])
    (tmp_path / "Dockerfile").write_text(text)
    lint(tmp_path, "hadolint", "Dockerfile")


@pytest.mark.interop
@pytest.mark.parametrize("command", [AWKWARD, "./flush.sh"])
@pytest.mark.parametrize("runtime", ["python3.14", "nodejs24.x", "java25"])
def test_terraform_has_nothing_to_say_whatever_the_runtime(
    tmp_path: Path, runtime: str, command: str
) -> None:
    deployment = Deployment(Architecture.ARM64, 30, {f"{PREFIX}COMMAND": command}, RUNTIMES[runtime])
    (tmp_path / "main.tf").write_text(
        render(Kind.TERRAFORM, Architecture.ARM64, 30, deployment.settings, deployment.runtime)
    )
    (tmp_path / "snippet.tf").write_text(render_snippet(Kind.TERRAFORM, deployment))
    lint(tmp_path, "terraform", "fmt", "-check", "-diff", "main.tf", "snippet.tf")


@pytest.mark.interop
@pytest.mark.timeout(400)  # the CDK is a program of Node with 50,000 lines of Python before it
@pytest.mark.parametrize(
    ("runtime", "command"),
    [("python3.14", "echo done"), ("nodejs24.x", "./flush.sh"), ("java25", "echo done")],
)
def test_a_stack_of_the_cdk_becomes_a_template_that_check_likes(
    tmp_path: Path, runtime: str, command: str
) -> None:
    """With the snippet's function in it as well, which adds the same to another function."""
    pytest.importorskip("aws_cdk")
    settings = {f"{PREFIX}COMMAND": command}
    deployment = Deployment(Architecture.ARM64, 30, settings, RUNTIMES[runtime])
    source = render(Kind.CDK, Architecture.ARM64, 30, settings, deployment.runtime)
    write_project(Kind.CDK, deployment, source, tmp_path)
    (tmp_path / "function").mkdir(exist_ok=True)
    (tmp_path / "function" / "built").touch()
    (tmp_path / "snippet.py").write_text(render_snippet(Kind.CDK, deployment))
    with zipfile.ZipFile(tmp_path / f"aws-lambda-post-runner-{__version__}-arm64.zip", "w"):
        pass  # what is synthesised needs the layer's name and hash alone
    other = "import snippet\nother = Stack(app, 'Other')\nmine = lambda_.Function(other, 'Mine', "
    other += "code=lambda_.Code.from_asset('function'), "
    other += f"runtime=function.runtime, architecture=architecture, handler='{deployment.runtime.handler}')\n"
    source = source.replace("app.synth()", f"{other}snippet.add_post_runner(mine)\napp.synth()")
    (tmp_path / "app.py").write_text(source)
    done = subprocess.run(
        [sys.executable, "app.py"],
        cwd=tmp_path,
        env=os.environ | {"CDK_OUTDIR": str(tmp_path / "out")},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    for stack in ("PostRunnerExample", "Other"):
        [config] = read_file(tmp_path / "out" / f"{stack}.template.json")
        assert [finding for finding in findings(config) if finding.is_error] == []
        assert config.environ == {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/entry.sh", **settings}


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
