"""Minimal deployments of a function with the post runner, with its settings filled in. Pure but for package data."""

import json
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import resources

from aws_lambda_post_runner import __version__
from aws_lambda_post_runner.dev.check.findings import OUR_WRAPPER, WRAPPER
from aws_lambda_post_runner.dev.check.package import file_of
from aws_lambda_post_runner.settings import COMMAND

from .runtimes import FOLDER, NEWEST, RUNTIMES, Runtime


class Kind(Enum):
    """What a deployment is written for."""

    SAM = "sam"
    CDK = "cdk"
    TERRAFORM = "terraform"
    DOCKERFILE = "dockerfile"
    RUNTIME = "runtime"


class Architecture(Enum):
    """The processors that Lambda has, by Lambda's names."""

    X86_64 = "x86_64"
    ARM64 = "arm64"


@dataclass(frozen=True)
class Deployment:
    """What is deployed: a function with its settings, variables by their full names."""

    architecture: Architecture
    timeout_s: int
    settings: Mapping[str, str]
    runtime: Runtime

    @property
    def command_file(self) -> str | None:
        """The file of the package that the post command starts with, if it starts with one."""
        return file_of(self.settings.get(COMMAND.full_name, ""))

    @property
    def fits_template(self) -> bool:
        """No file but the template is needed: the code is in it, and the command is a program of Lambda's."""
        return self.runtime.fits_template and self.command_file is None


@dataclass(frozen=True)
class Form:
    """How one kind is written: its file, its templates, and how it sets a variable and has the code."""

    file: str
    template: str
    snippet: str
    """Empty where there is none: a whole base image is made."""
    set_variable: Callable[[str, str, int], str]
    """Gets the name, the value and the length of the longest name."""
    inline_code: Callable[[str, str], Iterable[str]] | None
    """Gets the file's name and its text; the lines that have it within the template. None: an image has none."""
    folder_code: tuple[str, ...]
    """The lines that have the code in its folder."""
    wrapper: str = OUR_WRAPPER
    """Empty where it is no variable that has us started."""


def render(
    kind: Kind,
    architecture: Architecture,
    timeout_s: int,
    settings: Mapping[str, str],
    runtime: Runtime = RUNTIMES[NEWEST],
) -> str:
    """Return a whole deployment; `settings` are variables by their full names."""
    form = form_of(kind, runtime)
    return _filled(form.template, form, Deployment(architecture, timeout_s, settings, runtime))


def render_snippet(kind: Kind, deployment: Deployment) -> str:
    """Return what a deployment that is there already needs beside."""
    form = form_of(kind, deployment.runtime)
    return _filled(form.snippet, form, deployment)


def form_of(kind: Kind, runtime: Runtime) -> Form:
    """Return how a kind is written for a runtime: an image without Python has the executable."""
    if kind is Kind.DOCKERFILE and not runtime.name.startswith("python"):
        return IMAGE_WITH_EXECUTABLE
    return FORMS[kind]


def _filled(template: str, form: Form, deployment: Deployment) -> str:
    text = (resources.files(__package__) / template).read_text(encoding="utf-8")
    for placeholder, value in _replacements(deployment).items():
        text = text.replace(placeholder, value)
    wrapper = {WRAPPER: form.wrapper} if form.wrapper and deployment.runtime.has_wrapper else {}
    variables = {**wrapper, **deployment.settings}
    longest = max(map(len, variables))
    lines = {
        "@VARIABLE@": [form.set_variable(name, value, longest) for name, value in variables.items()],
        "@CODE@": _code(form, deployment),
    }
    return "\n".join(expanded for line in text.split("\n") for expanded in _expand(line, lines))


def _replacements(deployment: Deployment) -> Mapping[str, str]:
    architecture, runtime = deployment.architecture, deployment.runtime
    is_arm = architecture is Architecture.ARM64
    start = f'CMD ["{runtime.handler}"]' if runtime.has_wrapper else START_WITHOUT_WRAPPER
    return {
        "@LAYER@": f"aws-lambda-post-runner-{__version__}-{architecture.value}.zip",
        "@EXECUTABLE@": f"aws-lambda-post-runner-{__version__}-{architecture.value}",
        "@WHEEL@": f"aws_lambda_post_runner-{__version__}-py3-none-any.whl",
        "@ARCHITECTURE@": architecture.value,
        "@CDK_ARCHITECTURE@": "ARM_64" if is_arm else "X86_64",
        "@DOCKER_ARCHITECTURE@": "arm64" if is_arm else "amd64",
        "@TIMEOUT@": str(deployment.timeout_s),
        "@RUNTIME@": runtime.name,
        "@HANDLER@": runtime.handler,
        "@FITS_TEMPLATE@": str(runtime.fits_template),
        "@IMAGE@": runtime.image,
        "@START@": start,
    }


def _code(form: Form, deployment: Deployment) -> list[str]:
    if form.inline_code is None or not deployment.fits_template:
        return list(form.folder_code)
    [(name, text)] = deployment.runtime.files.items()
    return list(form.inline_code(name, text))


def _expand(line: str, lines: Mapping[str, list[str]]) -> list[str]:
    """Return a line once for each of the lines that its placeholder stands for; else as it is."""
    for placeholder, values in lines.items():
        if placeholder in line:
            return [line.replace(placeholder, value).rstrip() for value in values]
    return [line]


def _yaml(name: str, value: str, _: int) -> str:
    return f"{name}: {json.dumps(value)}"  # JSON's strings are YAML's double-quoted ones


def _python(name: str, value: str, _: int) -> str:
    return f"{json.dumps(name)}: {json.dumps(value)},"


def _terraform(name: str, value: str, longest: int) -> str:
    quoted = json.dumps(value, ensure_ascii=False).replace("${", "$${").replace("%{", "%%{")
    return f"{name:{longest}} = {quoted}"


def _docker(name: str, value: str, _: int) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'{name}="{escaped}"'


def _shell(name: str, value: str, _: int) -> str:
    return f'[ -n "${{{name}+set}}" ] || export {name}={shlex.quote(value)}'


def _in_yaml(_: str, text: str) -> Iterable[str]:
    return ["InlineCode: |", *(f"  {line}" for line in text.splitlines())]


def _in_python(_: str, text: str) -> Iterable[str]:
    return ['code = lambda_.Code.from_inline("""', *text.splitlines(), '""")', ""]


def _in_terraform(name: str, text: str) -> Iterable[str]:
    lines = (f"    {line}" for line in text.splitlines())
    return ["source {", f'  filename = "{name}"', "  content  = <<-EOT", *lines, "  EOT", "}"]


START_WITHOUT_WRAPPER = 'ENTRYPOINT ["/opt/aws-lambda-post-runner", "./main"]'
"""Where nothing heeds the wrapper, we are named; `main` is the user's program, as in the `bootstrap`."""

FORMS: Mapping[Kind, Form] = {
    Kind.SAM: Form(
        "template.yaml", "sam.yaml", "sam-snippet.yaml", _yaml, _in_yaml, (f"CodeUri: {FOLDER}/",)
    ),
    Kind.CDK: Form(
        "app.py",
        "cdk.py.txt",
        "cdk-snippet.py.txt",
        _python,
        _in_python,
        (f'code = lambda_.Code.from_asset("{FOLDER}")',),
    ),
    Kind.TERRAFORM: Form(
        "main.tf",
        "terraform.tf",
        "terraform-snippet.tf",
        _terraform,
        _in_terraform,
        (f'source_dir  = "${{path.module}}/{FOLDER}"',),
    ),
    Kind.DOCKERFILE: Form(
        "Dockerfile",
        "Dockerfile",
        "Dockerfile-snippet",
        _docker,
        None,
        (),
        "/opt/post-runner/bin/aws-lambda-post-runner",
    ),
    Kind.RUNTIME: Form("Dockerfile", "runtime.Dockerfile", "", _shell, None, (), ""),
}
IMAGE_WITH_EXECUTABLE = Form(
    "Dockerfile",
    "Dockerfile-executable",
    "Dockerfile-executable-snippet",
    _docker,
    None,
    (),
    "/opt/aws-lambda-post-runner",
)
