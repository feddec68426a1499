"""Finds what the run path needs, run by the interpreter that is to run it: `record.py SITE REMEMBERED NAME…`.

With `boot`'s stand-ins in place, every NAME is imported from the folder SITE, or if it is `trio.` and a name of trio's,
looked up; and a command is run under trio, which brings what trio imports late. Prints a line for each module that is
then loaded: name, tab, file or `built-in`, tab, `package` or nothing. Fails if a stand-in had to give way.

The file REMEMBERED gets, as a Python module, what start.py has no need to do again: the code of the sources that attrs
and dataclasses wrote, and the programs of regular expressions.
"""

import re
import sys
from importlib import import_module
from marshal import dumps
from types import CodeType
from typing import Any

site, remembered, *names = sys.argv[1:]
sys.path.insert(0, site)

from aws_lambda_post_runner import boot  # noqa: E402 - it is in `site`

boot.prepare()
sources: dict[str, bytes] = {}
patterns: dict[tuple[str | bytes, int], tuple[object, ...]] = {}
re_compiler = vars(import_module("re._compiler"))
compile_pattern = re_compiler["compile"]


def compile_source(source: str, filename: str, mode: str) -> CodeType:
    """Compile what attrs wrote, and remember it."""
    code: CodeType = compile(source, filename, mode)
    sources[source] = dumps(code)
    return code


def execute_source(source: str, global_names: dict[str, Any], local_names: dict[str, Any]) -> None:
    """Execute what dataclasses wrote, and remember it."""
    exec(compile_source(source, "<string>", "exec"), global_names, local_names)  # noqa: S102


class RememberingSre:
    """In place of `_sre` in `re`'s compiler: knows of which pattern it is given the program."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.flags = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def compile(self, pattern: str | bytes, flags: int, code: list[int], *rest: Any) -> re.Pattern[Any]:
        """Make a pattern, and remember what it is made of."""
        groups, group_index, index_group = rest
        plain = [int(number) for number in code]
        patterns[pattern, self.flags] = (int(flags), plain, groups, dict(group_index), index_group)
        made: re.Pattern[Any] = self._real.compile(pattern, flags, code, *rest)
        return made


sre = RememberingSre(re_compiler["_sre"])


def compile_regular_expression(pattern: str | bytes, flags: int = 0) -> re.Pattern[Any]:
    """Compile a regular expression, telling `sre` with which flags."""
    sre.flags = int(flags)
    made: re.Pattern[Any] = compile_pattern(pattern, flags)
    return made


re_compiler["_sre"] = sre
re_compiler["compile"] = compile_regular_expression
vars(import_module("attr._make"))["compile"] = compile_source
vars(import_module("dataclasses"))["exec"] = execute_source

import trio  # noqa: E402 - only after `prepare`

for name in (*boot.TRIO, *boot.ATTRS, *names):
    if name.startswith("trio."):
        getattr(trio, name.removeprefix("trio."))
    else:
        import_module(name)


async def run_a_command() -> None:
    """Do what a post command does to trio."""
    with trio.open_signal_receiver(15):
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.run_process, ["/bin/true"])


trio.run(run_a_command)
if "__version__" in vars(trio):  # so the real __init__ has run
    sys.exit("the run path needs a name of trio's that is not in boot.TRIO, or is elsewhere in this release")

with open(remembered, "w", encoding="utf-8") as file:  # noqa: PTH123 - pathlib is not on the run path
    file.write(f"CODE = {sources!r}\nPATTERNS = {patterns!r}\n")
for name, module in sorted(sys.modules.items()):
    spec = getattr(module, "__spec__", None)
    if spec is not None and name == spec.name:
        print(name, spec.origin, "package" if spec.submodule_search_locations is not None else "", sep="\t")
