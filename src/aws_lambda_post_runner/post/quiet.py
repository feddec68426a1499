"""Whether the handler's processes are quiet, told from outside by looking at them twice.

They are the handler, its children and theirs. They are quiet if, between two looks, their threads have together used
no more than a hundredth of one processor, and at the second no request of theirs is unanswered: no TCP connection
of theirs is being opened, or has sent something since it last received.

What this cannot see: what a timer will begin that has not gone off yet; what was sent by UDP; a request that was sent
on a connection in the same few milliseconds in which something was received; what a process does that has left the
handler's descent. A connection on which nothing is ever received, such as a log's, is never quiet.
"""

import os
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass

from .session import Process, living

_SHARE = 0.01
"""Of one processor. A runtime client that polls, and an interpreter's own threads, use less."""


@dataclass(frozen=True, slots=True)
class Look:
    """What is seen of some processes at one moment."""

    run_times: dict[int, int]
    """Nanoseconds that each thread has run, by its id."""
    awaits_answer: bool


def is_quiet(before: Look, after: Look, seconds: float) -> bool:
    """Whether what was seen twice, so many seconds apart, is quiet."""
    ran = sum(time - before.run_times.get(thread, 0) for thread, time in after.run_times.items())
    return not after.awaits_answer and ran <= seconds * 1e9 * _SHARE


def look_at(leader: int, but_to_port: int) -> Look:
    """Look at a process and its descendants; connections to `but_to_port`, which is ours, do not count.

    Raises OSError where Linux does not tell: no /proc, no times of threads, no netlink.
    """
    pids = [process.pid for process in _family(leader)]
    run_times = dict(_run_times(pids))
    sockets = {inode for pid in pids for inode in _sockets_of(pid)}
    waiting = (inode for port, inode in _connections_that_wait() if port != but_to_port)
    return Look(run_times, any(inode in sockets for inode in waiting))


def _family(leader: int) -> list[Process]:
    everybody = list(living())
    family: set[int] = {leader}
    while True:
        members = [each for each in everybody if each.pid in family or each.parent in family]
        if family.issuperset(each.pid for each in members):
            return members
        family |= {each.pid for each in members}


def _run_times(pids: list[int]) -> Iterator[tuple[int, int]]:
    """The first number in a thread's schedstat (Documentation/scheduler/sched-stats.rst of Linux)."""
    for pid in pids:
        for thread in _names_in(f"/proc/{pid}/task"):
            try:
                with open(f"/proc/{pid}/task/{thread}/schedstat", "rb") as told:  # noqa: PTH123 - as in _sockets_of
                    yield int(thread), int(told.read().split()[0])
            except (ProcessLookupError, IndexError):  # it has just ended
                continue
            except FileNotFoundError:
                if os.path.exists(f"/proc/{pid}/task/{thread}"):  # noqa: PTH110 - likewise
                    raise  # this Linux does not keep them


def _sockets_of(pid: int) -> Iterator[int]:
    """The inodes of a process's sockets."""
    for descriptor in _names_in(f"/proc/{pid}/fd"):
        with suppress(OSError):  # it has just been closed
            target = os.readlink(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH115 - a Path costs more than the call
            if target.startswith("socket:["):
                yield int(target[len("socket:[") : -1])


def _names_in(folder: str) -> list[str]:
    try:
        return os.listdir(folder)  # noqa: PTH208 - as above
    except FileNotFoundError:  # it has just ended
        return []


# What follows speaks sock_diag, the protocol behind `ss` (linux/inet_diag.h, linux/netlink.h, linux/tcp.h).

_DIAG = 4  # NETLINK_SOCK_DIAG
_BY_FAMILY = 20  # SOCK_DIAG_BY_FAMILY
_REQUEST_DUMP = 0x1 | 0x300  # NLM_F_REQUEST | NLM_F_DUMP
_DONE, _ERROR = 3, 2  # NLMSG_DONE, NLMSG_ERROR
_TCP_INFO = 2  # INET_DIAG_INFO, which is also the number of its attribute
_ESTABLISHED, _OPENING = 1, 2  # TCP_ESTABLISHED, TCP_SYN_SENT
_HEADER = struct.Struct("=LHHLL")  # nlmsghdr: length, type, flags, sequence, port
_ASK = struct.Struct("=BBBxL48x")  # inet_diag_req_v2: family, protocol, extensions, states, any socket
_SOCKET = struct.Struct(
    "=xBxx2xH44x16xL"
)  # inet_diag_msg: state, the other end's port (in network order), inode
_ATTRIBUTE = struct.Struct("=HH")  # rtattr: length, type
_TIMES = struct.Struct("=24xL16xL4xL64xQQ")
"""tcp_info: unacknowledged segments, milliseconds since it last sent and last received, bytes acknowledged and
received."""
_BUFFER = 1 << 16


def _connections_that_wait() -> Iterator[tuple[int, int]]:
    """The other end's port and the inode of each TCP connection here that waits for an answer. Raises OSError."""
    with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _DIAG)) as kernel:
        for family in (socket.AF_INET, socket.AF_INET6):
            states = 1 << _ESTABLISHED | 1 << _OPENING
            question = _ASK.pack(family, socket.IPPROTO_TCP, 1 << (_TCP_INFO - 1), states)
            length = _HEADER.size + len(question)
            os.write(kernel.fileno(), _HEADER.pack(length, _BY_FAMILY, _REQUEST_DUMP, 0, 0) + question)
            for message in _messages(kernel.fileno()):
                state, port, inode = _SOCKET.unpack_from(message)
                if state == _OPENING or _waits(message[_SOCKET.size :]):
                    yield socket.ntohs(port), inode


def _messages(descriptor: int) -> Iterator[bytes]:
    """All parts of an answer of the kernel's. Raises OSError if it is an error."""
    while True:
        data = os.read(descriptor, _BUFFER)
        while data:
            length, kind, *_ = _HEADER.unpack_from(data)
            if kind == _DONE:
                return
            if kind == _ERROR:
                raise OSError("sock_diag is not to be had")
            yield data[_HEADER.size : length]
            data = data[_aligned(length) :]


def _waits(attributes: bytes) -> bool:
    """Whether a connection has sent something since it last received."""
    while len(attributes) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _TCP_INFO:
            if length < _ATTRIBUTE.size + _TIMES.size:
                raise OSError("this Linux is older than 4.1, which tells how much a connection has received")
            unacknowledged, sent_ms, received_ms, acknowledged, received = _TIMES.unpack_from(
                attributes, _ATTRIBUTE.size
            )
            # A connection counts as having received when it is opened, perhaps in the same millisecond as it sends.
            only_sent = received == 0 and (unacknowledged > 0 or acknowledged > 1)
            return only_sent or bool(sent_ms < received_ms)
        attributes = attributes[_aligned(length) or len(attributes) :]
    return False


def _aligned(length: int) -> int:
    return (length + 3) & ~3
