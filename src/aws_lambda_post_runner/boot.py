"""Makes `import trio` cheap, for nothing should come between Lambda's start of us and our start of the handler.

trio's `__init__` imports all that trio has, TLS and DTLS included, and what it imports brings more: the half of attrs
that trio does not use, the disassembler, `/sbin/ldconfig` asked where a library is. The run path needs a third.
So `prepare` puts stand-ins into `sys.modules`: modules that stand where the real ones stand but have not run. A name is
taken, when it is first asked for, from the submodule that defines it; one that the tables below do not have makes the
real module run after all. A newer trio that has moved things is therefore not broken by this, only slower, and a test
tells when that has happened.

This module must not know what the run path does with trio, and must itself import next to nothing.
"""

import gc
import sys
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import CoroutineType, ModuleType
from typing import Any, NoReturn

# Where the names are defined that the run path, or a module of trio, outcome or attrs that it loads, asks for.
TRIO = {
    "trio._channel": ("MemoryReceiveChannel", "MemorySendChannel", "open_memory_channel"),
    "trio._core": (
        "BrokenResourceError",
        "BusyResourceError",
        "CancelScope",
        "Cancelled",
        "ClosedResourceError",
        "EndOfChannel",
        "Nursery",
        "RunFinishedError",
        "TASK_STATUS_IGNORED",
        "TaskStatus",
        "WouldBlock",
        "current_effective_deadline",
        "current_time",
        "open_nursery",
        "run",
    ),
    "trio._signals": ("open_signal_receiver",),
    "trio._subprocess": ("Process", "run_process"),
    "trio._sync": ("CapacityLimiter", "Condition", "Event", "Lock", "Semaphore"),
    "trio._timeouts": (
        "TooSlowError",
        "fail_after",
        "fail_at",
        "move_on_after",
        "move_on_at",
        "sleep",
        "sleep_forever",
        "sleep_until",
    ),
}
ATTRS = {
    "attr._funcs": ("has",),
    "attr._make": ("Attribute", "Factory", "NOTHING", "attrib as ib", "attrs as s", "evolve", "fields"),
    "attr._next_gen": ("define", "field", "frozen", "mutable"),
}
INSPECT = {
    "get_annotations": lambda cls: dict(
        vars(cls).get("__annotations__", {})
    ),  # dataclasses asks for its classes'
    "CORO_CLOSED": "CORO_CLOSED",
    "getcoroutinestate": lambda coroutine: "CORO_CLOSED" if coroutine.cr_frame is None else "CORO_SUSPENDED",
    "iscoroutine": lambda thing: isinstance(thing, CoroutineType),
    "signature": lambda _callable: "(...)",  # dataclasses asks, to make a docstring for a class that has none
}


def prepare() -> None:
    """Make the next `import trio` cheap; to be called before anything imports trio, else it does nothing.

    Garbage collection is off from here until `finish`: importing makes hardly anything but things that stay.
    """
    if "trio" in sys.modules:
        return
    gc.disable()
    _stand_in("trio", TRIO)
    _stand_in("attr", ATTRS)
    _stand_in("attrs", ATTRS)
    # outcome has attrs check that an error is an error; this module's classes take longer to make than all of outcome.
    _stand_in("attr.validators", given={"instance_of": lambda _type: None})
    # attrs asks whether this is PyPy; trio, whether what a thread returned is a coroutine, and whether one has ended.
    _stand_in("platform", given={"python_implementation": lambda: "CPython"})
    _stand_in("inspect", given=INSPECT)
    # Imported by what trio imports, but used, if ever, in trouble only; idna for the names of hosts: we look up none.
    for name in ("idna", "locale", "tokenize", "traceback"):
        _stand_in(name)
    # trio wants it to give its threads the names that `ps` shows, and can do without.
    _stand_in("ctypes", given={"CDLL": _no_library})
    _stand_in("ctypes.util", given={"find_library": lambda _name: None})


def finish() -> None:
    """Say that all is imported that will be: from here on collect garbage, but never look at what was imported."""
    if gc.isenabled():
        return
    import_module("trio._timeouts")  # is wanted when descriptors have run out, and no file can be read then
    for hidden in ("ctypes", "ctypes.util"):
        sys.modules.pop(hidden, None)
    gc.freeze()
    gc.enable()


def _no_library(name: str) -> NoReturn:
    raise OSError(f"{name} is not loaded: ctypes is hidden while trio is imported")


def _stand_in(
    name: str, homes: Mapping[str, tuple[str, ...]] | None = None, given: Mapping[str, object] | None = None
) -> None:
    """Put a stand-in for the module `name` into `sys.modules`; a later `import` finds it there.

    `homes`: modules and the names to take from each, "original as name" where they differ. `given`: names and values.
    """
    spec = find_spec(name)
    module = module_from_spec(spec) if spec is not None else ModuleType(name)
    vars(module).update(given or {})
    origins = {}
    for home, names in (homes or {}).items():
        for entry in names:
            original, _, alias = entry.partition(" as ")
            origins[alias or original] = (home, original)
    vars(module)["__getattr__"] = partial(_look_up, module, origins)
    sys.modules[name] = module


def _look_up(module: ModuleType, origins: Mapping[str, tuple[str, str]], name: str) -> Any:
    """Find a name that the stand-in does not have: this is its `__getattr__`, as PEP 562 has it."""
    spec = module.__spec__
    is_package = spec is not None and spec.submodule_search_locations is not None
    if name in origins:
        home, original = origins[name]
        try:
            value = getattr(import_module(home), original)
        except (ImportError, AttributeError):
            pass  # this release has it elsewhere
        else:
            vars(module)[name] = value
            return value
    elif is_package and find_spec(f"{module.__name__}.{name}") is not None:
        return import_module(f"{module.__name__}.{name}")
    is_asked_by_import = name == "__path__"  # `from module import …` asks it of any module, to tell a package
    if spec is None or spec.loader is None or is_asked_by_import:
        raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
    if vars(module).pop("__getattr__", None) is not None:  # from now on the module has what it has
        spec.loader.exec_module(module)
    return getattr(module, name)
