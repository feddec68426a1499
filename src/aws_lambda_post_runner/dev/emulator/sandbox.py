"""The processes of one execution environment: found, frozen, thawed and killed together, as Lambda does.

On Linux they are found in /proc, by their session or by a variable that every one of them inherits, so that a
process which has made itself a daemon is found too. Elsewhere the process groups that we know of must do.
"""

import contextlib
import os
import signal
from pathlib import Path

import trio

PROC = Path("/proc")
KILL_TIMEOUT_S = 2.0


class Sandbox:
    """All processes that have `mark`, a NAME=VALUE, in their environment, or are in a session or group of ours."""

    def __init__(self, mark: str) -> None:
        self._mark = mark.encode()
        self._leaders: set[int] = set()
        self._frozen: set[int] = set()

    def add_leader(self, pid: int) -> None:
        """Learn of a process that leads a session, or at least a process group, of ours."""
        self._leaders.add(pid)

    def freeze(self) -> int:
        """Stop every process and return their number. Looks again until no new one has been forked meanwhile."""
        while new := self._targets() - self._frozen:
            _signal(new, signal.SIGSTOP)
            self._frozen |= new
        return len(self._frozen)

    def thaw(self) -> int:
        """Let every stopped process go on and return their number."""
        thawed, self._frozen = self._frozen, set()
        _signal(thawed, signal.SIGCONT)
        return len(thawed)

    def programs(self) -> list[str]:
        """Return the command lines of what runs, but for a process that nobody could tell; empty without /proc."""
        found = {pid: _command_line(pid) for pid in sorted(self._targets())} if PROC.is_dir() else {}
        return [line for line in found.values() if line]

    async def kill(self) -> None:
        """Kill every process, frozen or not, and return when none is left. Not to be cancelled."""
        with trio.CancelScope(shield=True), trio.move_on_after(KILL_TIMEOUT_S):
            while targets := self._targets():
                _signal(targets, signal.SIGKILL)
                await trio.sleep(0.01)  # a killed process takes a moment to go

    def _targets(self) -> set[int]:
        """Return what `os.kill` takes: process ids, or negative process group ids."""
        if not PROC.is_dir():
            return {-pid for pid in self._leaders if _exists(-pid)}
        pids = (int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit())
        return {pid for pid in pids if self._is_ours(pid)}

    def _is_ours(self, pid: int) -> bool:
        try:
            # After the name in parentheses, which may hold anything: state, parent, group, session.
            state, _, _, session = (PROC / f"{pid}/stat").read_bytes().rpartition(b")")[2].split()[:4]
            if state == b"Z":
                return False
            return int(session) in self._leaders or self._mark in (
                PROC / f"{pid}/environ"
            ).read_bytes().split(b"\0")
        except OSError:  # it has ended meanwhile, or is another user's
            return False


def _command_line(pid: int) -> str:
    try:
        arguments = (PROC / f"{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # it has ended meanwhile
        return ""
    return " ".join(os.fsdecode(each) for each in arguments).strip()


def _signal(targets: set[int], signum: signal.Signals) -> None:
    for target in targets:
        with contextlib.suppress(ProcessLookupError):
            os.kill(target, signum)


def _exists(target: int) -> bool:
    try:
        os.kill(target, 0)
    except ProcessLookupError:
        return False
    return True
