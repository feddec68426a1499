"""Minimal deployments of a function with the post runner, with its settings filled in. Pure but for package data."""

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from importlib import resources

from aws_lambda_post_runner import __version__
from aws_lambda_post_runner.dev.check.findings import OUR_WRAPPER, WRAPPER


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
class Form:
    """How one kind is written: its template, its wrapper, and how it sets a variable."""

    template: str
    wrapper: str
    """Empty where it is no variable that has us started."""
    set_variable: Callable[[str, str, int], str]
    """Gets the name, the value and the length of the longest name."""


def render(kind: Kind, architecture: Architecture, timeout_s: int, settings: Mapping[str, str]) -> str:
    """Return a deployment; `settings` are variables by their full names."""
    form = FORMS[kind]
    text = (resources.files(__package__) / form.template).read_text(encoding="utf-8")
    for placeholder, value in _replacements(architecture, timeout_s).items():
        text = text.replace(placeholder, value)
    variables = {**({WRAPPER: form.wrapper} if form.wrapper else {}), **settings}
    longest = max(map(len, variables))
    lines = [form.set_variable(name, value, longest) for name, value in variables.items()]
    return "\n".join(expanded for line in text.split("\n") for expanded in _expand(line, lines))


def _replacements(architecture: Architecture, timeout_s: int) -> Mapping[str, str]:
    is_arm = architecture is Architecture.ARM64
    return {
        "@LAYER@": f"aws-lambda-post-runner-{__version__}-{architecture.value}.zip",
        "@EXECUTABLE@": f"aws-lambda-post-runner-{__version__}-{architecture.value}",
        "@WHEEL@": f"aws_lambda_post_runner-{__version__}-py3-none-any.whl",
        "@ARCHITECTURE@": architecture.value,
        "@CDK_ARCHITECTURE@": "ARM_64" if is_arm else "X86_64",
        "@DOCKER_ARCHITECTURE@": "arm64" if is_arm else "amd64",
        "@TIMEOUT@": str(timeout_s),
    }


def _expand(line: str, variables: list[str]) -> list[str]:
    """Return a line once for each variable if it has their placeholder, else as it is."""
    if "@VARIABLE@" not in line:
        return [line]
    return [line.replace("@VARIABLE@", variable) for variable in variables]


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


FORMS: Mapping[Kind, Form] = {
    Kind.SAM: Form("sam.yaml", OUR_WRAPPER, _yaml),
    Kind.CDK: Form("cdk.py.txt", OUR_WRAPPER, _python),
    Kind.TERRAFORM: Form("terraform.tf", OUR_WRAPPER, _terraform),
    Kind.DOCKERFILE: Form("Dockerfile", "/opt/post-runner/bin/aws-lambda-post-runner", _docker),
    Kind.RUNTIME: Form("runtime.Dockerfile", "", _shell),
}
