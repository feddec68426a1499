"""Whether somebody still reads at the other end of a connection that was closed at our side of it.

A client that has shut down its sending half (`nc -N`) and waits for an answer, and one that has closed the connection,
send us the same: the end. Until we write nobody can tell them apart by the connection itself, and a written event
would be lost. But both ends are on this machine, and the kernel's table of connections tells whether the other end
still belongs to a process: its socket has an inode number then, and 0 if it is only waiting to be forgotten.
"""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
"""The second one has the clients that connect to an IPv4 address by an IPv6 socket."""
_LOCAL, _REMOTE, _INODE = 1, 2, 9
"""Columns, as Linux's Documentation/networking/proc_net_tcp.rst has them."""


def is_still_read(sock: socket.socket) -> bool:
    """Tell whether a process of this machine has the other end open. Where there is no such table, none has."""
    try:
        ours, theirs = _in_table(*sock.getsockname()), _in_table(*sock.getpeername())
        return any(
            row[_LOCAL].endswith(theirs) and row[_REMOTE].endswith(ours) and row[_INODE] != "0"
            for row in _connections()
        )
    except OSError:
        return False


def _connections() -> Iterator[list[str]]:
    """One after the other: the tables also have what ended in the last minute, which can be tens of thousands."""
    for table in _TABLES:
        if table.exists():
            with table.open(encoding="ascii") as lines:
                next(lines, None)
                yield from map(str.split, lines)


def _in_table(host: str, port: int) -> str:
    """An address as the table has it; an IPv4 one in IPv6 form ends in the same way."""
    number = int.from_bytes(socket.inet_aton(host), sys.byteorder)
    return f"{number:08X}:{port:04X}"
