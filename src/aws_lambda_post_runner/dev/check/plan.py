"""Functions as a Terraform plan has them: what `terraform show -json PLAN` prints. Pure but for a look at the zip.

The form is HashiCorp's: https://developer.hashicorp.com/terraform/internals/json-format#values-representation.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from .function_config import LAMBDA_TIMEOUT_S, Code, FunctionConfig, Value


def is_plan(content: Any) -> bool:
    """Tell it from a template."""
    return isinstance(content, dict) and "planned_values" in content


def read_plan(content: Any, path: Path) -> list[FunctionConfig]:
    """Return the functions that will be there when it has been applied."""
    resources = _resources(content["planned_values"].get("root_module", {}))
    return [_read_function(each, path) for each in resources if each.get("type") == "aws_lambda_function"]


def _resources(module: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _resources(child)


def _read_function(resource: Mapping[str, Any], path: Path) -> FunctionConfig:
    values, name = resource["values"], str(resource["address"])
    environments = values.get("environment") or [{}]
    variables = environments[0].get("variables") or {}
    file = path.parent / values["filename"] if values.get("filename") else None
    # What only the deployment knows is left out of a plan.
    layers = values.get("layers")
    return FunctionConfig(
        name=name,
        variables={key: Value(text, name) for key, text in variables.items()},
        timeout_s=float(values.get("timeout") or LAMBDA_TIMEOUT_S),
        runtime=values.get("runtime") or "",
        deployed=True,
        layers=None if layers is None else tuple(map(str, layers)),
        handler=values.get("handler") or "",
        code=Code(file if file is not None and file.exists() else None),
        processor=next(iter(values.get("architectures") or ["x86_64"])),
        file=str(path),
    )
