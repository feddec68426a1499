"""Makes `import trio` cheap, for nothing should come between Lambda's start of us and our start of the handler.

trio's `__init__` imports all that trio has, TLS and DTLS included, and on the way asks `/sbin/ldconfig` where a library
is. The run path needs a third of it. So `prepare` puts packages into `sys.modules` that stand where the real ones stand
but have not run their `__init__`: each name is taken, when it is first asked for, from the submodule that defines it. A
name that we have no home for runs the real `__init__` after all. A newer trio that has moved things is therefore never
broken by this, only slower, and a test tells when that has happened.

This module must not know what the run path does with trio, and must itself import next to nothing.
"""

import gc
import sys
from importlib import import_module
from importlib.util import find_spec, module_from_spec
from types import ModuleType
from typing import NoReturn

# The submodule that defines each name of trio which the run path, or a submodule of trio itself, asks for.
TRIO = {
    "_channel": ("MemoryReceiveChannel", "MemorySendChannel", "open_memory_channel"),
    "_core": (
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
    "_signals": ("open_signal_receiver",),
    "_subprocess": ("Process", "run_process"),
    "_sync": ("CapacityLimiter", "Condition", "Event", "Lock", "Semaphore"),
    "_timeouts": (
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


def prepare() -> None:
    """Make the next `import trio` cheap; to be called before anything imports trio, else it does nothing.

    Garbage collection is off from here until `finish`: importing makes nothing but things that stay.
    """
    gc.disable()
    if "trio" in sys.modules:
        return
    _defer("trio", TRIO)
    _defer("idna", {})  # trio's sockets use it for names of hosts, of which we look up none
    _hide_ctypes()


def finish() -> None:
    """Say that all is imported that will be: collect garbage again, but never look at what was imported."""
    gc.freeze()
    gc.enable()
    if getattr(sys.modules.get("ctypes"), "__spec__", None) is None:
        sys.modules.pop("ctypes", None)
        sys.modules.pop("ctypes.util", None)


def _defer(name: str, homes: dict[str, tuple[str, ...]]) -> None:
    """Stand in for the package `name` until something is asked for that is neither in `homes` nor a submodule."""
    spec = find_spec(name)
    if spec is None or spec.loader is None:
        return
    package, loader = module_from_spec(spec), spec.loader
    home_of = {attribute: home for home, attributes in homes.items() for attribute in attributes}

    def look_up(attribute: str) -> object:
        if attribute in home_of:
            try:
                value = getattr(import_module(f"{name}.{home_of[attribute]}"), attribute)
            except (ImportError, AttributeError):
                pass  # this release has it elsewhere
            else:
                vars(package)[attribute] = value
                return value
        elif find_spec(f"{name}.{attribute}"):
            return import_module(f"{name}.{attribute}")
        if vars(package).pop(
            "__getattr__", None
        ):  # while the real package loads, and after, it has only what is there
            loader.exec_module(package)
        return getattr(package, attribute)

    vars(package)["__getattr__"] = look_up
    sys.modules[name] = package


def _hide_ctypes() -> None:
    """Let trio find a `ctypes` that can load no library: it wants it only to give its threads names that `ps` shows."""

    def refuse(*_: object) -> NoReturn:
        raise OSError("ctypes is hidden while trio is imported")

    ctypes, util = ModuleType("ctypes"), ModuleType("ctypes.util")
    vars(ctypes).update(CDLL=refuse, util=util)
    vars(util).update(find_library=lambda _name: None)
    sys.modules.update({"ctypes": ctypes, "ctypes.util": util})
