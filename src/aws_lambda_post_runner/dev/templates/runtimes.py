"""Lambda's runtimes as a deployment needs them: the handler's name, the image, the least code that answers. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NEWEST = "python3.14"
FOLDER = "function"
"""Where a deployment's code is, beside the template, unless it stands in the template itself."""


@dataclass(frozen=True)
class Runtime:
    """One runtime, by Lambda's name."""

    name: str
    handler: str
    image: str
    """AWS's base image."""
    files: Mapping[str, str] = field(default_factory=dict)
    """The least code that answers, by file name; empty where it has to be built."""
    fits_template: bool = False
    """CloudFormation takes its code within the template."""
    has_wrapper: bool = True
    """It heeds AWS_LAMBDA_EXEC_WRAPPER."""


PYTHON = """\
def handler(event, context):
    return {"greeting": f"Hello {event.get('name', 'world')}"}
"""
NODE = """\
exports.handler = async (event) => ({ greeting: 'Hello ' + (event.name ?? 'world') });
"""
RUBY = """\
def handler(event:, context:)
  { greeting: "Hello #{event['name'] || 'world'}" }
end
"""
BOOTSTRAP = """\
#!/bin/sh
# The post runner starts the handler, for this runtime ignores AWS_LAMBDA_EXEC_WRAPPER. `main` is your program.
exec /opt/aws-lambda-post-runner ./main
"""


def _python(version: str) -> Runtime:
    files = {"index.py": PYTHON}
    return Runtime(f"python{version}", "index.handler", f"python:{version}", files, fits_template=True)


def _node(version: str) -> Runtime:
    files = {"index.js": NODE}
    return Runtime(f"nodejs{version}.x", "index.handler", f"nodejs:{version}", files, fits_template=True)


def _java(version: str) -> Runtime:
    return Runtime(f"java{version}", "example.Handler::handleRequest", f"java:{version}")


def _dotnet(version: str) -> Runtime:
    return Runtime(f"dotnet{version}", "Example::Example.Function::Handle", f"dotnet:{version}")


def _ruby(version: str) -> Runtime:
    return Runtime(f"ruby{version}", "index.handler", f"ruby:{version}", {"index.rb": RUBY})


def _provided(system: str) -> Runtime:
    files = {"bootstrap": BOOTSTRAP}
    return Runtime(f"provided.{system}", "bootstrap", f"provided:{system}", files, has_wrapper=False)


RUNTIMES: Mapping[str, Runtime] = {
    runtime.name: runtime
    for runtime in (
        *map(_python, ("3.11", "3.12", "3.13", "3.14")),
        *map(_node, ("22", "24")),
        *map(_java, ("11", "17", "21", "25")),
        *map(_dotnet, ("10",)),
        *map(_ruby, ("3.3", "3.4")),
        *map(_provided, ("al2023",)),
    )
}
"""Those that are not deprecated at the end of 2026, as cfn-lint has it."""
