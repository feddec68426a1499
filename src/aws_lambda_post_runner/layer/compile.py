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

FROZEN_AS = {
    "_frozen_importlib": "importlib._bootstrap",
    "_frozen_importlib_external": "importlib._bootstrap_external",
}
"""CPython's own frozen modules that have another name where their source is."""

UNUSED = ("zipimport",)
"""Modules that CPython itself imports when it boots, and does without where they are not."""


def without_what_is_for_people(source: bytes) -> ast.Module:
    """Parse a module, take out the types of functions, and leave of each docstring a mark that there was one.

    Nobody reads them here, and they are a sixth of the memory. But a dataclass without a docstring makes itself
    one, and it reads the types of its fields.
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
        match node:
            case ast.arg():
                node.annotation = None
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                node.returns = None
    return tree


site, target, *names = sys.argv[1:]
del sys.modules["ast"], sys.modules["_ast"]  # they are ours; the executable has another
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
    elif name not in UNUSED and spec.origin.endswith(("frozen", ".py")):
        is_package = spec.submodule_search_locations is not None
        if spec.origin == "frozen":  # in CPython itself, which tells importlib's own frames by such names
            real_name = FROZEN_AS.get(name, name)
            source = f"{sys._stdlib_dir}/{real_name.replace('.', '/')}.py"  # type: ignore[attr-defined] # noqa: SLF001 - it has no other name
            path = f"<frozen {real_name}>"
        else:
            # A traceback can show nothing of the file but its name: the module's, and not a path on this machine.
            source, path = spec.origin, name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
        code = compile(without_what_is_for_people(Path(source).read_bytes()), path, "exec", dont_inherit=True)
        modules[name] = (is_package, marshal.dumps(code))
Path(target).write_bytes(marshal.dumps((modules, in_c)))
