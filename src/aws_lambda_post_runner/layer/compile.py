"""Compiles modules, run by the interpreter whose bytecode it is to be: `compile.py LIST FILE`.

LIST has the lines that record.py prints. FILE gets the interpreter's magic number, and after it, marshalled, what
launcher.c and python_launcher.py take: for each module that has a source its name, whether it is a package, and its
code, marshalled too.
"""

import ast
import marshal
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path


def summarised(source: bytes) -> ast.Module:
    """Parse a module, and leave of each docstring its first line.

    Nobody reads them here, and they are a tenth of the memory. But a dataclass without one would import `inspect` to
    make itself one, so all are not left out.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        match node:
            case (
                ast.Module(body=[ast.Expr(ast.Constant(str(text)) as docstring), *_])
                | ast.ClassDef(body=[ast.Expr(ast.Constant(str(text)) as docstring), *_])
                | ast.FunctionDef(body=[ast.Expr(ast.Constant(str(text)) as docstring), *_])
                | ast.AsyncFunctionDef(body=[ast.Expr(ast.Constant(str(text)) as docstring), *_])
            ):
                docstring.value = text.strip().partition("\n")[0]
    return tree


listing, target = map(Path, sys.argv[1:])
modules = {}
for line in listing.read_text(encoding="utf-8").splitlines():
    name, origin, kind = line.split("\t")
    if origin.endswith(".py"):
        # A traceback can show nothing of the file but its name, so this is the module's and not a path on this machine.
        path = name.replace(".", "/") + ("/__init__.py" if kind else ".py")
        code = compile(summarised(Path(origin).read_bytes()), path, "exec", dont_inherit=True)
        modules[name] = (bool(kind), marshal.dumps(code))
target.write_bytes(MAGIC_NUMBER + marshal.dumps(modules))
