"""Functions as SAM and CloudFormation templates configure them. Pure but for a look at the code beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .function_config import LAMBDA_TIMEOUT_S, RUNTIME_CONFIG, Code, FunctionConfig, UnreadableError, Value
from .lines import line_of

FUNCTION_TYPES = {"AWS::Serverless::Function", "AWS::Lambda::Function"}
LAYER_TYPES = {"AWS::Serverless::LayerVersion", "AWS::Lambda::LayerVersion"}
DEFAULT_PROCESSOR = "x86_64"
"""What a function gets that does not say."""


@dataclass(frozen=True)
class Template:
    """A template that has been parsed, where it was, and its lines."""

    content: Any
    path: Path
    lines: Sequence[str]

    def part(self, *keys: str) -> Mapping[str, Any]:
        """Return the mapping that is found by going down `keys`; an empty one where there is none."""
        return _part(self.content, *keys)


def read_template(template: Template) -> list[FunctionConfig]:
    """Return its functions. Raises UnreadableError where it has no resources at all."""
    resources = template.part("Resources")
    if not resources:
        raise UnreadableError("it has no Resources, so it is not a SAM or CloudFormation template")
    kinds = {name: _part(resource).get("Type") for name, resource in resources.items()}
    return [_read_function(name, template) for name, kind in kinds.items() if kind in FUNCTION_TYPES]


def _read_function(name: str, template: Template) -> FunctionConfig:
    resource = template.part("Resources", name)
    common = template.part("Globals", "Function") if resource["Type"] == "AWS::Serverless::Function" else {}
    properties = {**common, **_part(resource, "Properties")}
    own = _part(resource, "Properties", "Environment", "Variables")
    timeout = properties.get("Timeout", LAMBDA_TIMEOUT_S)
    return FunctionConfig(
        name=name,
        variables={
            **_read_variables(_part(common, "Environment", "Variables"), "Globals", template, "Globals"),
            **_read_variables(own, name, template, "Resources", name),
        },
        timeout_s=float(timeout) if isinstance(timeout, int | float) else None,
        runtime=str(properties.get("Runtime", "")),
        runtime_config=_read_runtime_config(properties.get("RuntimeConfig", {})),
        deployed=True,
        layers=_read_layers(properties.get("Layers", [])),
        handler=str(properties.get("Handler", "")),
        code=_read_code(properties, template.path.parent),
        event_sources=tuple(str(_part(each).get("Type")) for each in _part(properties, "Events").values()),
        processor=_read_processor(properties.get("Architectures", [DEFAULT_PROCESSOR])),
        layer_processors=_read_layer_processors(template),
        file=str(template.path),
        line=line_of(template.lines, "Resources", name),
    )


def _read_code(properties: Mapping[str, Any], folder: Path) -> Code:
    if "InlineCode" in properties or "ZipFile" in _part(properties, "Code"):
        return Code(inline=True)
    uri = properties.get("CodeUri", properties.get("Code"))
    path = folder / uri if isinstance(uri, str) else None
    return Code(path if path is not None and path.exists() else None)


def _read_processor(architectures: Any) -> str:
    match architectures:
        case [str(only)]:
            return only
    return ""


def _read_runtime_config(config: Any) -> tuple[str, ...] | None:
    """Return which of its properties are there; None where an intrinsic function stands in its place."""
    if not isinstance(config, dict) or not {*config} <= {*RUNTIME_CONFIG}:
        return None
    return tuple(config)


def _read_layer_processors(template: Template) -> Mapping[str, tuple[str, ...]]:
    found = {}
    for name, resource in template.part("Resources").items():
        processors = _part(resource, "Properties").get("CompatibleArchitectures")
        if _part(resource).get("Type") in LAYER_TYPES and isinstance(processors, list):
            found[name] = tuple(map(str, processors))
    return found


def _read_layers(layers: Any) -> tuple[str, ...] | None:
    if not isinstance(layers, list):
        return None
    return tuple(_name_of(layer) for layer in layers)


def _name_of(layer: Any) -> str:
    """Return a literal ARN, or what an intrinsic function refers to."""
    if isinstance(layer, dict):
        return " ".join(_name_of(value) for value in layer.values())
    return str(layer)


def _read_variables(
    variables: Mapping[str, Any], origin: str, template: Template, *where: str
) -> dict[str, Value]:
    """Return them as Lambda has them: text. What is neither text nor number is an intrinsic function."""
    return {
        name: Value(
            str(value) if isinstance(value, str | int | float) else None,
            origin,
            line_of(template.lines, *where, "Variables", name),
        )
        for name, value in variables.items()
    }


def _part(mapping: Any, *keys: str) -> Mapping[str, Any]:
    for key in keys:
        mapping = mapping.get(key) if isinstance(mapping, dict) else None
    return mapping if isinstance(mapping, dict) else {}
