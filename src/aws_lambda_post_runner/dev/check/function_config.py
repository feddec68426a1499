"""How functions are configured: read from an environment, a .env file or a SAM or CloudFormation template.

What the values mean, and whether they are right, is not known here.
"""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TEMPLATE_SUFFIXES = {".yaml", ".yml", ".json", ".template"}
LAMBDA_TIMEOUT_S = 3.0
"""What a function gets that does not say."""


class UnreadableError(Exception):
    """A file that cannot be read as what it should be; the message says why."""


@dataclass(frozen=True)
class Value:
    """A variable's value and where it comes from; None is a value that only the deployment decides."""

    text: str | None
    origin: str


@dataclass(frozen=True)
class FunctionConfig:
    """One function's environment, and what else matters to the post runner."""

    name: str
    variables: Mapping[str, Value]
    timeout_s: float | None = None
    """None where it is not known."""
    runtime: str = ""
    deployed: bool = False
    """It runs on Lambda, not on this machine."""
    layers: tuple[str, ...] | None = None
    """What names each of its layers, an ARN or a resource of the template; None where they are not known."""
    handler: str = ""
    code: Path | None = None
    """The folder or file that is deployed, where it is on this machine."""
    event_sources: tuple[str, ...] = ()
    """The types of what invokes it, as SAM names them."""

    @property
    def environ(self) -> dict[str, str]:
        """The variables whose values are known."""
        return {name: value.text for name, value in self.variables.items() if value.text is not None}


def read_file(path: Path) -> list[FunctionConfig]:
    """Read a template (by its suffix) or a .env file. Raises UnreadableError or OSError."""
    text = path.read_text()
    if path.suffix not in TEMPLATE_SUFFIXES:
        return [FunctionConfig(path.name, _read_env_lines(text, path.name))]
    return _read_template(
        _read_json(text) if text.lstrip().startswith("{") else _read_yaml(text), path.parent
    )


def read_env_file(path: Path) -> dict[str, str]:
    """Read a .env file's variables. Raises UnreadableError or OSError."""
    return FunctionConfig(path.name, _read_env_lines(path.read_text(), path.name)).environ


def from_environment(environ: Mapping[str, str]) -> FunctionConfig:
    """Return what this process's own environment says."""
    variables = {name: Value(text, "environment") for name, text in environ.items()}
    timeout = environ.get("AWS_LAMBDA_FUNCTION_TIMEOUT", "")
    return FunctionConfig("environment", variables, float(timeout) if timeout.isdecimal() else None)


def _read_env_lines(text: str, name: str) -> dict[str, Value]:
    """Read NAME=VALUE lines, as docker and dotenv do: `export`, quotes and comments are allowed."""
    variables = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip().removeprefix("export ").strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = stripped.partition("=")
        if not equals:
            raise UnreadableError(f"{name} line {number} is not NAME=VALUE")
        variables[key.strip()] = Value(_unquoted(value.strip()), f"{name} line {number}")
    return variables


def _unquoted(value: str) -> str:
    for quote in ('"', "'"):
        if len(value) > 1 and value.startswith(quote) and value.endswith(quote):
            return value[1:-1]
    return value.partition(" #")[0].rstrip()


def _read_yaml(text: str) -> Any:
    try:
        yaml = importlib.import_module("yaml")
    except ModuleNotFoundError:
        message = (
            "reading a YAML template needs PyYAML: pip install PyYAML (JSON templates and .env files do not)"
        )
        raise UnreadableError(message) from None
    # !Ref, !Sub and the like: whatever they say, only the deployment knows the value.
    loader: Any = type("TemplateLoader", (yaml.SafeLoader,), {})
    loader.add_multi_constructor("!", lambda _, suffix, node: {suffix: node.value})
    try:
        return yaml.load(text, Loader=loader)
    except yaml.YAMLError as problem:
        raise UnreadableError(f"not YAML: {problem}") from None


def _read_json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as problem:
        raise UnreadableError(f"not JSON: {problem}") from None


def _read_template(template: Any, folder: Path) -> list[FunctionConfig]:
    resources = _part(template, "Resources")
    if not resources:
        raise UnreadableError("it has no Resources, so it is not a SAM or CloudFormation template")
    functions = []
    for name, resource in resources.items():
        match _part(resource).get("Type"):
            case "AWS::Serverless::Function":
                common = _part(template, "Globals", "Function")
                functions.append(_read_function(name, resource, common, folder))
            case "AWS::Lambda::Function":
                functions.append(_read_function(name, resource, {}, folder))
    return functions


def _read_function(name: str, resource: Any, common: Mapping[str, Any], folder: Path) -> FunctionConfig:
    properties = {**common, **_part(resource, "Properties")}
    variables = {
        **_read_variables(_part(common, "Environment", "Variables"), "Globals"),
        **_read_variables(_part(resource, "Properties", "Environment", "Variables"), name),
    }
    timeout = properties.get("Timeout", LAMBDA_TIMEOUT_S)
    return FunctionConfig(
        name=name,
        variables=variables,
        timeout_s=float(timeout) if isinstance(timeout, int | float) else None,
        runtime=str(properties.get("Runtime", "")),
        deployed=True,
        layers=_read_layers(properties.get("Layers", [])),
        handler=str(properties.get("Handler", "")),
        code=_read_code(properties.get("CodeUri", properties.get("Code")), folder),
        event_sources=tuple(str(_part(each).get("Type")) for each in _part(properties, "Events").values()),
    )


def _read_code(code: Any, folder: Path) -> Path | None:
    """Return what is deployed; None where it is elsewhere, or in the template itself."""
    path = folder / code if isinstance(code, str) else None
    return path if path is not None and path.exists() else None


def _read_layers(layers: Any) -> tuple[str, ...] | None:
    if not isinstance(layers, list):
        return None
    return tuple(_name_of(layer) for layer in layers)


def _name_of(layer: Any) -> str:
    """Return a literal ARN, or what an intrinsic function refers to."""
    if isinstance(layer, dict):
        return " ".join(_name_of(value) for value in layer.values())
    return str(layer)


def _read_variables(variables: Mapping[str, Any], origin: str) -> dict[str, Value]:
    """Return them as Lambda has them: text. What is neither text nor number is an intrinsic function."""
    return {
        name: Value(str(value) if isinstance(value, str | int | float) else None, origin)
        for name, value in variables.items()
    }


def _part(mapping: Any, *keys: str) -> Mapping[str, Any]:
    """Return the mapping that is found by going down `keys`; an empty one where there is none."""
    for key in keys:
        mapping = mapping.get(key) if isinstance(mapping, dict) else None
    return mapping if isinstance(mapping, dict) else {}
