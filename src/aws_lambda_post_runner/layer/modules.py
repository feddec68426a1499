"""Finds the modules that the run path needs, and compiles them, under the interpreter that is to run them.

The script compile.py beside this file does the work inside that interpreter.
"""

import ast
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

PACKAGE = "aws_lambda_post_runner"

FOR_PEOPLE = "cli/"
"""Our wing that the entry imports for our own commands only: where the run path ends."""

IN_TROUBLE = (
    *("encodings.ascii", "encodings.idna", "encodings.latin_1", "encodings.utf_8"),
    *("linecache", "traceback"),
)
"""Modules that CPython imports by itself: other encodings are met, a traceback is printed."""

DISPENSABLE = frozenset({"mmap"})
"""Modules that ours can do without: our executable has no such module in C."""

# Without each instruction's columns bytecode is a third smaller; tracebacks still have their lines.
_COMPILING = ("-X", "no_debug_ranges")

_SCRIPT = Path(__file__).parent / "compile.py"


class CompilationError(Exception):
    """An interpreter could not run the run path's modules; the text is what it said."""


def compiled(python: Path, site: Path, folder: Path) -> Path:
    """Compile the modules that the run path needs; return a file, in `folder`, as compile.py writes it.

    `python`: an interpreter that has the modules in C which the executable will have. `site`: the folder with our
    package and what it needs. Raises CompilationError.
    """
    ours = sorted((site / PACKAGE).rglob("*.py"))
    others = {node.module for path in ours for node in _imports(path) if node.level == 0 and node.module}
    names = {*IN_TROUBLE, *(module_name(path, site / PACKAGE) for path in ours), *(others - DISPENSABLE)}
    target = folder / "compiled"
    # Isolated, as by -I, but for the seed of hashes: attrs writes some into its sources, and puts sets in their order.
    command = [str(python), *_COMPILING, "-P", "-s", "-S", "-B", str(_SCRIPT), str(site), str(target)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(
        [*command, *sorted(names)],
        env={**environment, "PYTHONHASHSEED": "0"}, check=False, capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode != 0:
        raise CompilationError(f"{' '.join(command)} … failed:\n{done.stderr.strip()}")
    return target


def run_path(package: Path) -> list[Path]:
    """List the sources of our modules that `entry` imports, or that they import, inside functions too."""
    found = {"__init__.py", "entry.py"}
    pending = list(found)
    while pending:
        name = pending.pop()
        reached = {each for node in _imports(package / name) for each in _ours(package, name, node)}
        new = {each for each in reached - found if not each.startswith(FOR_PEOPLE)}
        found |= new
        pending += new
    return [package / name for name in sorted(found)]


def module_name(path: Path, package: Path) -> str:
    """Tell the name by which a source of our package is imported."""
    parts = path.relative_to(package).with_suffix("").parts
    return ".".join((PACKAGE, *parts)).removesuffix(".__init__")


def _ours(package: Path, importer: str, node: ast.ImportFrom) -> Iterator[str]:
    """List the files of our package that an import runs: the module's, and those of the packages around it."""
    module = node.module or ""
    if node.level:
        parents = Path(importer).parent.parts
        base = parents[: len(parents) + 1 - node.level]
    elif module.partition(".")[0] == PACKAGE:
        base, module = (), module.removeprefix(PACKAGE).lstrip(".")
    else:
        return
    folder = "/".join((*base, *filter(None, module.split("."))))
    for name in (folder, *(f"{folder}/{alias.name}".lstrip("/") for alias in node.names)):
        parts = name.split("/")
        around = [f"{'/'.join(parts[:depth])}/__init__.py" for depth in range(1, len(parts) + 1)]
        yield from (each for each in (f"{name}.py", *around) if (package / each).is_file())


def _imports(source: Path) -> Iterator[ast.ImportFrom]:
    """List what a module imports, `import x` as if it were `from x import`."""
    for node in ast.walk(ast.parse(source.read_bytes())):
        match node:
            case ast.Import(names=aliases):
                yield from (ast.ImportFrom(alias.name, [], 0) for alias in aliases)
            case ast.ImportFrom():
                yield node
