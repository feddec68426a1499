"""Variables as docker and dotenv have them: NAME=VALUE lines. Pure."""

from .function_config import UnreadableError, Value


def read_env_lines(text: str, name: str) -> dict[str, Value]:
    """Read a file called `name`; `export`, quotes and comments are allowed. Raises UnreadableError."""
    variables = {}
    for number, line in enumerate(text.splitlines(), start=1):
        stripped = line.strip().removeprefix("export ").strip()
        if not stripped or stripped.startswith("#"):
            continue
        key, equals, value = stripped.partition("=")
        if not equals:
            raise UnreadableError(f"{name} line {number} is not NAME=VALUE")
        variables[key.strip()] = Value(_unquoted(value.strip()), f"{name} line {number}", number)
    return variables


def _unquoted(value: str) -> str:
    for quote in ('"', "'"):
        if len(value) > 1 and value.startswith(quote) and value.endswith(quote):
            return value[1:-1]
    return value.partition(" #")[0].rstrip()
