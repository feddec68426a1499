"""Functions read from a file: a template, a Terraform plan, a Dockerfile or a .env file."""

import importlib
import json
from pathlib import Path
from typing import Any

from .dockerfile import read_dockerfile
from .env_file import read_env_lines
from .function_config import FunctionConfig, UnreadableError
from .plan import is_plan, read_plan
from .template import Template, read_template

TEMPLATE_SUFFIXES = {".yaml", ".yml", ".json", ".template"}


def read_file(path: Path) -> list[FunctionConfig]:
    """Read what its name and its content say it is. Raises UnreadableError or OSError."""
    text = path.read_text()
    if "dockerfile" in path.name.lower():
        return [read_dockerfile(text, path)]
    if path.suffix not in TEMPLATE_SUFFIXES:
        return [FunctionConfig(path.name, read_env_lines(text, path.name), file=str(path))]
    content = _read_json(text) if text.lstrip().startswith("{") else _read_yaml(text)
    if is_plan(content):
        return read_plan(content, path)
    return read_template(Template(content, path, text.splitlines()))


def read_env_file(path: Path) -> dict[str, str]:
    """Read a .env file's variables. Raises UnreadableError or OSError."""
    return FunctionConfig(path.name, read_env_lines(path.read_text(), path.name)).environ


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
