"""Compiles modules, run by the interpreter whose bytecode it is to be: `compile.py LIST FILE`.

LIST has the lines that record.py prints. FILE gets the interpreter's magic number, and after it, marshalled, what
launcher.c and python_launcher.py take: for each module that has a source its name, whether it is a package, and its
code, marshalled too.
"""

import marshal
import sys
from importlib.util import MAGIC_NUMBER
from pathlib import Path

listing, target = map(Path, sys.argv[1:])
modules = {}
for line in listing.read_text(encoding="utf-8").splitlines():
    name, origin, kind = line.split("\t")
    if origin.endswith(".py"):
        # A traceback can show nothing of the file but its name, so this is the module's and not a path on this machine.
        path = name.replace(".", "/") + ("/__init__.py" if kind else ".py")
        code = compile(Path(origin).read_bytes(), path, "exec", dont_inherit=True)
        modules[name] = (bool(kind), marshal.dumps(code))
target.write_bytes(MAGIC_NUMBER + marshal.dumps(modules))
