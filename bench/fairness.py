"""Whether a handler that never pauses starves the others: a second connection, and a SIGTERM.

The handler polls and answers without pause. Beside it this process opens a connection, asks for a path that the
Runtime API does not know, and takes the time to the answer. At the end the proxy gets a SIGTERM, and the handler
tells when it came. Without a proxy the same is measured on the handler alone: what the machine itself delays.
"""

import signal
import socket
import statistics
import time

import contest
import report
import valid
from contest import Contestant, Trial
from ends import Traffic

WITHOUT_END = 10**9
SECONDS_BETWEEN_REQUESTS = 0.01
REQUEST = b"GET /2018-06-01/unknown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"


def request_delay(address: str) -> int:
    """Nanoseconds from a connection's opening to the answer on it."""
    host, port = address.split(":")
    start = time.monotonic_ns()
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(REQUEST)
        connection.recv(4096)
    return time.monotonic_ns() - start


def delays(contestant: Contestant, seconds: float) -> tuple[list[int], int]:
    """The delays of requests on second connections, and that of a SIGTERM, in nanoseconds."""
    with Trial(contestant, Traffic()) as trial:
        trial.begin(WITHOUT_END)
        requests = []
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            requests.append(request_delay(trial.address))
            time.sleep(SECONDS_BETWEEN_REQUESTS)
        sent = time.monotonic_ns()
        trial.send_signal(signal.SIGTERM)
        return requests, int(trial.read_answer()) - sent


def main() -> None:
    """Measure and tell."""
    options = contest.parser(__doc__)
    options.add_argument("--runs", type=valid.count, default=3, help="runs, each with its own SIGTERM")
    options.add_argument("--seconds", type=float, default=10, help="how long the handler is busy in each run")
    chosen = contest.parse(options)
    runs, seconds = (1, 1) if chosen.quick else (chosen.runs, chosen.seconds)
    figures = {}
    for contestant in (contest.DIRECT, contest.post_runner(chosen.python)):
        requests: list[int] = []
        terms: list[int] = []
        for _ in range(runs):
            more, term = delays(contestant, seconds)
            requests.extend(more)
            terms.append(term)
        figures[contestant.name] = {
            "request p50": statistics.median(requests),
            "request p99": statistics.quantiles(requests, n=100, method="inclusive")[98],
            "request most": max(requests),
            "SIGTERM most": max(terms),
        }
    header = ("delay in ms", *figures[contest.DIRECT.name])
    print(report.table(header, [[name, *map(report.milli, row.values())] for name, row in figures.items()]))
    report.write_json(chosen.json, figures)


if __name__ == "__main__":
    main()
