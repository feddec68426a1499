"""Compiles what the run path needs, run by the interpreter whose bytecode it is to be: `compile.py SITE FILE NAME…`.

Every NAME is imported, from the folder SITE before all others. FILE then gets, marshalled, what write_tables takes: of
each module that is loaded its name, whether it is a package, and its code, marshalled too; and the names of those that
are written in C.
"""

import ast
import marshal
import sys
from importlib import import_module
from importlib.machinery import PathFinder
from pathlib import Path

UNLINKED = ("zlib",)
"""Modules in C that this interpreter has and the executable has not, for they need libraries: ours can do without."""


def without_docstrings(source: bytes) -> ast.Module:
    """Parse a module, and leave of each docstring a mark that there was one.

    Nobody reads them here, and they are a tenth of the memory. But a dataclass without any makes itself one.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        match node:
            case (
                ast.Module(body=[ast.Expr(ast.Constant(str()) as docstring), *_])
                | ast.ClassDef(body=[ast.Expr(ast.Constant(str()) as docstring), *_])
                | ast.FunctionDef(body=[ast.Expr(ast.Constant(str()) as docstring), *_])
                | ast.AsyncFunctionDef(body=[ast.Expr(ast.Constant(str()) as docstring), *_])
            ):
                docstring.value = "-"
    return tree


site, target, *names = sys.argv[1:]
sys.path.insert(0, site)
sys.meta_path.insert(0, PathFinder)  # what stands in `site` goes before a module in C of the same name
for name in UNLINKED:
    sys.modules[name] = None  # type: ignore[assignment] # which makes `import` fail, as there
for name in names:
    import_module(name)

modules = {}
in_c = []
for name, module in sorted(sys.modules.items()):
    spec = getattr(module, "__spec__", None)
    if spec is None or name != spec.name:
        continue  # this script, or a module under a second name
    if spec.origin == "built-in":
        in_c.append(name)
    elif spec.origin.endswith(".py"):  # not those that CPython itself has frozen
        is_package = spec.submodule_search_locations is not None
        # A traceback can show nothing of the file but its name, so this is the module's and not a path on this machine.
        path = name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
        code = compile(without_docstrings(Path(spec.origin).read_bytes()), path, "exec", dont_inherit=True)
        modules[name] = (is_package, marshal.dumps(code))
Path(target).write_bytes(marshal.dumps((modules, in_c)))
