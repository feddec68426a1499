"""Stands for idna in the executable: trio asks it for the ASCII form of host names that are not ASCII."""

from typing import NoReturn


def encode(name: str, *, uts46: bool) -> NoReturn:
    """Refuse, as the real one does what is no name."""
    del uts46
    raise UnicodeError(f"the host name {name!r} is not ASCII: write it as its registry does (xn--…)")
