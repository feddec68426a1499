"""Stands for ast in the executable, for it brings a class for each kind of node, 1 MB: inspect imports it.

inspect asks it for the signatures that functions in C have as a text, and is told that there is none.
"""

from typing import NoReturn


class NodeVisitor:
    """What inspect derives a class from, to find where classes are written; there are no sources here."""


class Module:
    """What `parse` would return."""


def parse(source: str) -> NoReturn:
    """Refuse, as the real one does what is not Python."""
    raise SyntaxError(source)
