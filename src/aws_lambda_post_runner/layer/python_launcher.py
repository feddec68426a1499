#!/var/lang/bin/python3 -ISB
"""Starts the runner under the interpreter of a Lambda Python runtime; the function's own Python sees nothing of it.

For the Pythons that the layer was built for, all modules come compiled from one file: nothing has to be written, and
from a disk that was not read before, one file comes much sooner than a hundred. For others, the sources are there.
"""

# The build makes it executable. pathlib would take 10 ms of the start. The code that is run came in the same zip.
# ruff: noqa: EXE001, PTH100, PTH120, PTH123, S102, S302

import os
import sys
from importlib.machinery import ModuleSpec
from importlib.util import MAGIC_NUMBER
from marshal import loads
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Loader
else:
    Loader = object  # the real one would take 15 ms

PRIVATE = os.path.dirname(os.path.abspath(__file__)) + "/aws-lambda-post-runner.d"


class Compiled(Loader):
    """Finds and loads the compiled modules."""

    def __init__(self, modules: dict[str, tuple[bool, bytes]]) -> None:
        self._modules = modules

    def find_spec(self, name: str, _path: object = None, _target: object = None) -> ModuleSpec | None:
        """Tell where a module is: here, if it is one of ours."""
        if name not in self._modules:
            return None
        is_package, _ = self._modules[name]
        spec = ModuleSpec(name, self, is_package=is_package)
        if spec.submodule_search_locations is not None:
            spec.submodule_search_locations.append(f"{PRIVATE}/lib/{name.replace('.', '/')}")
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python."""

    def exec_module(self, module: ModuleType) -> None:
        """Run the module's code."""
        exec(loads(self._modules[module.__name__][1]), vars(module))


sys.path.insert(0, f"{PRIVATE}/lib")
try:
    with open(f"{PRIVATE}/{sys.implementation.cache_tag}.bin", "rb") as file:
        if file.read(len(MAGIC_NUMBER)) == MAGIC_NUMBER:
            sys.meta_path.insert(0, Compiled(loads(file.read())))
except FileNotFoundError:
    pass

# In the C locale Python exports LC_CTYPE to its children. The handler is to have the environment that we were given.
if os.environ.get("LC_CTYPE") == "C.UTF-8":
    with open("/proc/self/environ", "rb") as given:
        if b"LC_CTYPE=C.UTF-8" not in given.read().split(b"\0"):
            del os.environ["LC_CTYPE"]

# From entry.sh the kernel makes: this file, --exec-wrapper, entry.sh's path, the handler.
if sys.argv[1:2] == ["--exec-wrapper"]:
    del sys.argv[1:3]

from aws_lambda_post_runner.entry import main  # noqa: E402 - only now can it be found

sys.exit(main())
