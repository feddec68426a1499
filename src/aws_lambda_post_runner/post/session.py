"""Which processes a command has made, and signals to all of them.

The command leads a session of its own. In it are its children and theirs, whatever process groups a shell or
`timeout` has made for them. What has called setsid is told by its parent, and from then on by that session; and what
has lost its parent as well, by a mark in the environment that it was started with. Only what has thrown that away too
cannot be told from a process of the handler's, and is left alone: making us the parent of orphans
(PR_SET_CHILD_SUBREAPER) would take the handler's own daemons from init.

What is found is signalled by its process groups. The kernel does that in one go, so that no member forks in between;
one by one, a chain of processes that live for a moment each would always be a step ahead.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")
_ENDED = frozenset({"Z", "X"})
"""States of a process that only waits to be noticed by its parent."""


@dataclass(frozen=True, slots=True)
class Process:
    """A process that lives."""

    pid: int
    parent: int
    group: int
    session: int


class Session:
    """All that a command has made which has the process id `leader`, and `mark` in its environment (`NAME=value`)."""

    def __init__(self, leader: int, mark: str) -> None:
        self._leader = leader
        self._mark = mark.encode()
        self._sessions = {leader}
        self._groups = {leader}

    def signal(self, number: int) -> bool:
        """Send a signal to all of them, or only look if it is 0. Tell whether anybody was there to get it.

        Where /proc does not tell (macOS; or descriptors have run out) they are the command's process group.
        """
        try:
            found = {process.group for process in self._members()}
        except OSError:
            return _reaches(self._leader, number)
        self._groups |= found
        reached = {group for group in self._groups if _reaches(group, number)}
        return not found.isdisjoint(reached)

    def _members(self) -> list[Process]:
        """Those that live. Sessions that they have made are known from now on. Raises OSError.

        What is in our own session is the handler's, or we ourselves.
        """
        ours = os.getsid(0)
        alive = [each for each in living() if each.session != ours]
        pids = {each.pid for each in alive if self._is_marked(each.pid)}
        self._sessions |= {each.session for each in alive if each.pid in pids}
        while True:
            members = [each for each in alive if each.session in self._sessions or each.parent in pids]
            if pids == {each.pid for each in members}:
                return members
            pids = {each.pid for each in members}
            self._sessions |= {each.session for each in members}

    def _is_marked(self, pid: int) -> bool:
        try:
            return self._mark in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is another user's
            return False


def _reaches(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS says the latter of a group of zombies
        return False
    return True


def living() -> Iterator[Process]:
    """All processes but those that have ended. Raises OSError if there is no telling."""
    for name in os.listdir(_PROC):  # noqa: PTH208 - a Path for each would be made for its name alone
        if name.isdecimal():
            with suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
                # The name of the program comes first, in brackets, and may itself have brackets and spaces.
                state, parent, group, session, *_ = (
                    (_PROC / name / "stat").read_bytes().rpartition(b")")[2].split()
                )
                if state.decode() not in _ENDED:
                    yield Process(int(name), int(parent), int(group), int(session))
