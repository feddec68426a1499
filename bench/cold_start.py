"""What a cold start costs: how much later the handler's first poll arrives at the Runtime API than without us.

Every way of starting us takes its turn in every round, so that a machine that is busy for a while is so for all. Each
start is measured from the moment at which the command is called, as Lambda calls it, to the arrival of the handler's
first `GET …/next`. Then the memory that we hold is read, and all of it is killed.

The handlers are what users have: a client in C that does nothing else (`first_poll.c`), a function under awslambdaric
of the interpreter that runs this, one that imports boto3, and one under aws-lambda-ric in Node.

`python bench/cold_start.py --layers FOLDER --parts FOLDER`: the first has the executables that `nox -s layer` builds,
the second Node and its client, from `python -m tests.interop.obtain`; without it Node is left out. `--peer
NAME=COMMAND` adds any other way of starting, such as a version before. Linux only.
"""

import argparse
import importlib.util
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import report
import valid

ROUNDS = 30
PATIENCE_SECONDS = 30
COMMAND = "AWS_LAMBDA_POST_RUNNER_COMMAND"
OF_LAMBDA = {
    "AWS_LAMBDA_FUNCTION_NAME": "bench",
    "AWS_LAMBDA_FUNCTION_VERSION": "1",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
    "AWS_LAMBDA_LOG_GROUP_NAME": "bench",
    "AWS_LAMBDA_LOG_STREAM_NAME": "bench",
    "AWS_REGION": "eu-west-1",
}
"""What aws-lambda-ric asks for."""


@dataclass(frozen=True)
class Way:
    """A way of starting the handler: what stands before its command, and the files that this reads of ours."""

    name: str
    before: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Handler:
    """What is started, with what it needs in its environment."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Figures:
    """What was measured of one way under one condition."""

    seconds: list[float] = field(default_factory=list)
    resident_kib: list[int] = field(default_factory=list)

    @property
    def milliseconds(self) -> float:
        """The median start."""
        return statistics.median(self.seconds) * 1000


class RuntimeApi:
    """Accepts the first poll, and says when it came."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE_SECONDS)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"

    def await_poll(self) -> tuple[float, socket.socket]:
        """Wait for a poll; return the time at which it was here, and its connection."""
        connection, _ = self._listener.accept()
        connection.settimeout(PATIENCE_SECONDS)
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(65536)
            if not received:
                sys.exit(f"the connection was closed after {head!r}")
            head += received
        now = time.monotonic()
        if not head.startswith(b"GET /2018-06-01/runtime/invocation/next "):
            sys.exit(f"not a poll: {head!r}")
        return now, connection


def resident_kib(pid: int) -> int:
    """The memory that a process has in use."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


def forget(files: Sequence[Path]) -> None:
    """Have the kernel drop what it has of these files in memory."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def start(way: Way, handler: Handler, api: RuntimeApi, cpu: int | None) -> tuple[float, int]:
    """Start the handler this way, on one processor if one is named; return the seconds and the KiB that it took."""
    pinned = ("taskset", "--cpu-list", str(cpu)) if cpu is not None else ()
    environment = {
        **os.environ,
        **handler.environment,
        "AWS_LAMBDA_RUNTIME_API": api.address,
        COMMAND: "true",
    }
    before = time.monotonic()
    process = subprocess.Popen(
        [*pinned, *way.before, *handler.command], env=environment, start_new_session=True
    )
    try:
        arrived, connection = api.await_poll()
        time.sleep(0.05)  # for the memory: what is done after the poll has been sent on
        resident = resident_kib(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    connection.close()
    return arrived - before, resident


def ways(executable: Path, peers: Sequence[tuple[str, tuple[str, ...]]]) -> list[Way]:
    """Without us, with the executable, as a plain installation, and with each peer."""
    others = []
    for name, words in peers:
        files = tuple(Path(word) for word in words if Path(word).is_file())
        others.append(Way(name, words, files))
    return [
        Way("without us"),
        Way("executable", (str(executable.resolve()),), (executable,)),
        Way("plain installation", (sys.executable, "-m", "aws_lambda_post_runner")),
        *others,
    ]


def handlers(folder: Path, parts: Path | None) -> Iterator[Handler]:
    """Make the handlers in the folder."""
    client = folder / "first_poll"
    source = Path(__file__).parent / "first_poll.c"
    subprocess.run(["cc", "-O2", str(source), "-o", str(client)], check=True)
    yield Handler("C client", (str(client),))

    python = (sys.executable, "-m", "awslambdaric", "app.handler")
    answer = "def handler(event, context):\n    return event\n"
    for name, before in (("awslambdaric", ""), ("awslambdaric, imports boto3", "import boto3\n")):
        if before and importlib.util.find_spec("boto3") is None:
            continue
        task = folder / name.partition(" ")[2] / "task"
        task.mkdir(parents=True)
        (task / "app.py").write_text(before + answer, encoding="utf-8")
        path = os.pathsep.join(filter(None, [str(task), os.environ.get("PYTHONPATH", "")]))
        yield Handler(name, python, {"PYTHONPATH": path})

    if parts is not None:
        (folder / "app.js").write_text("exports.handler = async (event) => event;\n", encoding="utf-8")
        client = parts / "node_modules" / "aws-lambda-ric" / "index.mjs"
        environment = {"LAMBDA_TASK_ROOT": str(folder), "_HANDLER": "app.handler", **OF_LAMBDA}
        yield Handler(
            "aws-lambda-ric, Node 24", (str(parts / "node24" / "bin" / "node"), str(client)), environment
        )


def measure(
    all_ways: Sequence[Way], handler: Handler, rounds: int, *, cpu: int | None, cold: bool
) -> dict[str, Figures]:
    """Start the handler in each way in turn, in that many rounds; `cold`: our files are not in memory."""
    api = RuntimeApi()
    figures = {way.name: Figures() for way in all_ways}
    for number in range(-1, rounds):
        for way in all_ways:
            if cold:
                forget(way.files)
            seconds, resident = start(way, handler, api, cpu)
            if number >= 0:  # the first round only warms what is to be warm
                figures[way.name].seconds.append(seconds)
                figures[way.name].resident_kib.append(resident)
    return figures


CONDITIONS: dict[str, tuple[int | None, bool]] = {
    "two cores": (None, False),
    "one core": (0, False),
    "two cores, our file not in memory": (None, True),
    "one core, our file not in memory": (0, True),
}


def tell(handler: Handler, all_ways: Sequence[Way], conditions: Mapping[str, Mapping[str, Figures]]) -> None:
    """Print the table of one handler."""
    plain = all_ways[0].name
    without = [f"{figures[plain].milliseconds:.1f}" for figures in conditions.values()]
    rows = [[plain, *without, ""]]
    for way in all_ways[1:]:
        added = [
            f"{figures[way.name].milliseconds - figures[plain].milliseconds:+.1f}"
            for figures in conditions.values()
        ]
        memory = statistics.median(conditions["two cores"][way.name].resident_kib) * 1024 / 1e6
        rows.append([way.name, *added, f"{memory:.1f}"])
    print(report.table([handler.name, *conditions, "resident MB"], rows), end="\n\n", flush=True)


def main() -> None:
    """Measure each handler under each condition, and tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=Path, default=Path("dist"), help="folder with the executables")
    parser.add_argument("--parts", type=Path, help="folder with Node and aws-lambda-ric")
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        type=valid.named_command,
        metavar="NAME=COMMAND",
        help="another way",
    )
    parser.add_argument(
        "--rounds", type=valid.count, default=ROUNDS, help="starts of each way under each condition"
    )
    parser.add_argument("--json", type=valid.file, help="file for the figures")
    chosen = parser.parse_args()
    machine = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    executables = [path for path in chosen.layers.glob(f"*-{machine}") if os.access(path, os.X_OK)]
    if len(executables) != 1:
        parser.error(f"{chosen.layers} has {len(executables)} executables for {machine}, and is to have one")
    all_ways = ways(executables[0], chosen.peer)
    print(report.machine())
    print(f"Milliseconds until the first poll, medians of {chosen.rounds}; + is what is added.\n")
    results = {}
    with tempfile.TemporaryDirectory() as temporary:
        for handler in handlers(Path(temporary), chosen.parts):
            conditions = {
                name: measure(all_ways, handler, chosen.rounds, cpu=cpu, cold=cold)
                for name, (cpu, cold) in CONDITIONS.items()
            }
            tell(handler, all_ways, conditions)
            results[handler.name] = {
                condition: {
                    name: {"seconds": each.seconds, "resident_kib": each.resident_kib}
                    for name, each in figures.items()
                }
                for condition, figures in conditions.items()
            }
    report.write_json(chosen.json, results)


if __name__ == "__main__":
    main()
