"""What makes the start of the run path cheap, under whichever trio is installed."""

import subprocess
import sys
from pathlib import Path

import aws_lambda_post_runner
from aws_lambda_post_runner.layer.modules import names_of_trio, run_path

STAND_INS = (
    *(
        "attr",
        "attr.validators",
        "attrs",
        "idna",
        "inspect",
        "locale",
        "platform",
        "tokenize",
        "traceback",
        "trio",
    ),
)

NAMES_OF_TRIO = sorted(
    name.removeprefix("trio.")
    for path in run_path(Path(aws_lambda_post_runner.__file__).parent)
    for name in names_of_trio(path)
)

RUN_PATH = f"""
import sys
from functools import partial
from aws_lambda_post_runner import boot
boot.prepare()
import aws_lambda_post_runner.drop_in, aws_lambda_post_runner.supervisor, aws_lambda_post_runner.proxy.relay
import trio

async def run_a_command():
    with trio.open_signal_receiver(15):
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.run_process, ["true"])

trio.run(run_a_command)
for name in {NAMES_OF_TRIO}:
    getattr(trio, name)
boot.finish()
stand_ins = {{name: sys.modules[name] for name in {STAND_INS}}}
gave_way = [name for name, module in stand_ins.items() if not isinstance(vars(module).get("__getattr__"), partial)]
print("gave way:", *gave_way)
print("imported:", *({{"ctypes", "dis", "rich", "ssl", "trio._dtls", "typer"}} & set(sys.modules)))
"""


def printed(program: str) -> list[str]:
    """What a program prints, run by this Python without any module that it has not asked for."""
    paths = [str(Path(aws_lambda_post_runner.__file__).parent.parent), *filter(None, sys.path)]
    prelude = f"import sys; sys.path[:0] = {paths!r}\n"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", prelude + program], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_run_path_needs_nothing_that_the_stand_ins_do_not_have() -> None:
    """Fails when a newer trio, outcome or attrs has moved things: then boot's tables have to follow."""
    assert printed(RUN_PATH) == ["gave way:", "imported:"]


def test_what_the_stand_ins_do_not_have_comes_from_the_real_modules() -> None:
    program = """
from aws_lambda_post_runner import boot
boot.prepare()
import trio, inspect, attrs, platform
print(trio.run.__name__, trio.Path.__name__, trio.run.__name__)
print(inspect.signature(boot.prepare), attrs.asdict.__name__, bool(platform.system()))
"""
    assert printed(program) == ["run Path run", "() -> None asdict True"]


def test_a_name_that_no_module_has_is_an_attribute_error() -> None:
    program = """
from aws_lambda_post_runner import boot
boot.prepare()
import trio
try:
    trio.no_such_name
except AttributeError as error:
    print(error)
"""
    assert printed(program) == ["module 'trio' has no attribute 'no_such_name'"]


def test_ctypes_is_itself_again_after_the_start() -> None:
    program = """
from aws_lambda_post_runner import boot
boot.prepare()
import trio
trio.run
boot.finish()
import ctypes, gc
print(ctypes.CDLL.__module__, gc.isenabled())
"""
    assert printed(program) == ["ctypes True"]


def test_a_trio_that_is_already_there_is_left_alone() -> None:
    program = """
import trio
from aws_lambda_post_runner import boot
boot.prepare()
import inspect, gc
print(trio.Path.__name__, "__getattr__" in vars(inspect), gc.isenabled())
"""
    assert printed(program) == ["Path False True"]
