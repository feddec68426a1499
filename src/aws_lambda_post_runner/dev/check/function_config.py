"""How a function is configured, as far as it matters to the post runner; and what this process's environment says.

What the values mean, and whether they are right, is not known here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

LAMBDA_TIMEOUT_S = 3.0
"""What a function gets that does not say."""


RUNTIME_CONFIG = ("RuntimeArn", "RuntimeAlias")
"""What a function with a customer-managed runtime has to name."""


class UnreadableError(Exception):
    """A file that cannot be read as what it should be; the message says why."""


@dataclass(frozen=True)
class Value:
    """A variable's value and where it comes from; None is a value that only the deployment decides."""

    text: str | None
    origin: str
    line: int | None = field(default=None, compare=False)
    """Its line in the file, where it is known."""


@dataclass(frozen=True)
class Code:
    """What is deployed, where that can be seen from here: a folder, a zip, or what an image copies from a folder."""

    path: Path | None = None
    copied: tuple[str, ...] = ()
    """The sources of an image's COPY and ADD."""
    inline: bool = False
    """It stands in the template itself, so that there is no other file."""


@dataclass(frozen=True)
class FunctionConfig:
    """One function's environment, and what else matters to the post runner."""

    name: str
    variables: Mapping[str, Value]
    timeout_s: float | None = None
    """None where it is not known."""
    runtime: str = ""
    runtime_config: tuple[str, ...] | None = None
    """What of its customer-managed runtime is named, by the properties' names; None where that cannot be seen."""
    deployed: bool = False
    """It runs on Lambda, not on this machine."""
    layers: tuple[str, ...] | None = None
    """What names each of its layers, an ARN or a resource of the template; None where they are not known."""
    handler: str = ""
    code: Code = field(default_factory=Code)
    event_sources: tuple[str, ...] = ()
    """The types of what invokes it, as SAM names them."""
    processor: str = ""
    """`x86_64` or `arm64`; empty where it is not known."""
    layer_processors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What the layers that stand in the same template are for, by their names there."""
    entry: tuple[str, ...] | None = None
    """An image's ENTRYPOINT and CMD; None where there is no image."""
    file: str = ""
    line: int | None = None
    """Where it is configured."""

    @property
    def environ(self) -> dict[str, str]:
        """The variables whose values are known."""
        return {name: value.text for name, value in self.variables.items() if value.text is not None}

    def place_of(self, name: str) -> str:
        """Return the file and the line of a variable, or else of the function; empty where there is no file."""
        value = self.variables.get(name)
        line = self.line if value is None or value.line is None else value.line
        return self.file if line is None or not self.file else f"{self.file}:{line}"


def from_environment(environ: Mapping[str, str]) -> FunctionConfig:
    """Return what this process's own environment says."""
    variables = {name: Value(text, "environment") for name, text in environ.items()}
    timeout = environ.get("AWS_LAMBDA_FUNCTION_TIMEOUT", "")
    return FunctionConfig("environment", variables, float(timeout) if timeout.isdecimal() else None)
