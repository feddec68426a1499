"""Starts the runner in a self-contained layer; the build puts this beside `entry`, and launcher.c calls its `main`.

For every class attrs and dataclasses write Python source and compile it, and `re` compiles every pattern, anew in each
process. What they made when the layer was built is in `remembered`, which record.py writes, so here they need not. What
is not there is made as ever. A source, or a pattern with its flags, stands for its result, so that can be no wrong one.
"""

import re
from importlib import import_module
from marshal import loads
from types import CodeType
from typing import Any

from aws_lambda_post_runner import boot

_remembered = vars(import_module("aws_lambda_post_runner.remembered"))
_CODE: dict[str, bytes] = _remembered["CODE"]
_PATTERNS: dict[tuple[str | bytes, int], tuple[Any, ...]] = _remembered["PATTERNS"]

_re_compiler = vars(import_module("re._compiler"))
_compile_pattern = _re_compiler["compile"]
_make_pattern = _re_compiler["_sre"].compile


def main() -> int:
    """Do what `entry` does, sooner."""
    boot.prepare()
    vars(import_module("attr._make"))["compile"] = _compiled
    vars(import_module("dataclasses"))["exec"] = _execute
    _re_compiler["compile"] = _pattern
    from aws_lambda_post_runner.entry import main as enter

    return enter()


def _compiled(source: str, filename: str, mode: str) -> CodeType:
    code = _CODE.get(source)
    return loads(code) if code else compile(source, filename, mode)  # noqa: S302 - the build has written it


def _execute(source: str, global_names: dict[str, Any], local_names: dict[str, Any]) -> None:
    exec(_compiled(source, "<string>", "exec"), global_names, local_names)  # noqa: S102 - dataclasses would


def _pattern(pattern: str | bytes, flags: int = 0) -> re.Pattern[Any]:
    parts = _PATTERNS.get((pattern, flags))
    made: re.Pattern[Any] = _make_pattern(pattern, *parts) if parts else _compile_pattern(pattern, flags)
    return made
