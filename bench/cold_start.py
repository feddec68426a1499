"""What a cold start costs: how much later the handler's first poll arrives at the Runtime API than without us.

Every way of starting us takes its turn in every round, so that a machine that is busy for a while is so for all. Each
start is measured from the moment at which the command is called, as Lambda calls it, to the arrival of the handler's
first `GET …/next`; the handler is a function under awslambdaric, of the interpreter that runs this. Then the memory
that we hold is read, and all of it is killed.

`python bench/cold_start.py --layers FOLDER`: the folder has the zips that `nox -s layer` builds. Linux only; with
strace it also tells which step takes how long.
"""

import argparse
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import report

ROUNDS = 40
PATIENCE_SECONDS = 30
COMMAND = "AWS_LAMBDA_POST_RUNNER_COMMAND"


@dataclass(frozen=True)
class Way:
    """A way of starting the handler: what stands before its command, and the files that this reads of ours."""

    name: str
    before: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


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


def start(way: Way, handler: Sequence[str], api: RuntimeApi, cpu: int | None) -> tuple[float, int]:
    """Start the handler this way, on one processor if one is named; return the seconds and the KiB that it took."""
    pinned = ("taskset", "--cpu-list", str(cpu)) if cpu is not None else ()
    environment = {**os.environ, "AWS_LAMBDA_RUNTIME_API": api.address, COMMAND: "true"}
    before = time.monotonic()
    process = subprocess.Popen([*pinned, *way.before, *handler], env=environment, start_new_session=True)
    try:
        arrived, connection = api.await_poll()
        time.sleep(0.05)  # for the memory: what is done after the poll has been sent on
        resident = resident_kib(process.pid)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    connection.close()
    return arrived - before, resident


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a layer, and return its executable."""
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    executable = folder / "aws-lambda-post-runner"
    executable.chmod(0o755)
    return executable


def ways(layers: Path, folder: Path, machine: str) -> list[Way]:
    """Without us, as a plain installation, and with each of the layers that run here."""
    (native,) = layers.glob(f"*-{machine}.zip")
    (modules,) = layers.glob("*-python.zip")
    executable = unpack(native, folder / "native")
    launcher = unpack(modules, folder / "python")
    compiled = launcher.parent / "aws-lambda-post-runner.d" / f"{sys.implementation.cache_tag}.bin"
    return [
        Way("without us"),
        Way("self-contained layer", (str(executable),), (executable,)),
        Way("Python layer", (sys.executable, "-ISB", str(launcher)), (launcher, compiled)),
        Way("plain installation", (sys.executable, "-m", "aws_lambda_post_runner")),
    ]


def measure(
    all_ways: Sequence[Way], handler: Sequence[str], rounds: int, *, cpu: int | None, cold: bool
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


# The steps of a start, each ended by a system call: a word of the line that strace writes, and which such line it is.
STEPS = (
    ("the interpreter, settings and trio are loaded", "epoll_create1(", -1),
    ("trio runs, the listener listens", "listen(", 0),
    ("a thread is started, and forks", "CLONE_VFORK", 0),
    ("the handler is executed", "execve(", 1),
    ("the handler boots, meanwhile we import the relay", "GET /2018-06-01/runtime/invocati", 0),
    ("its poll is sent on to the Runtime API", "GET /2018-06-01/runtime/invocati", 1),
)


def waterfall(way: Way, handler: Sequence[str], trace: Path) -> list[float]:
    """Start the handler this way once, under strace; return the seconds at which each step was done."""
    calls = "execve,epoll_create1,listen,vfork,clone,clone3,sendto,write"
    strace = ("strace", "-f", "--seccomp-bpf", "-ttt", "-e", f"trace={calls}", "-o", str(trace))
    start(Way(way.name, (*strace, *way.before)), handler, RuntimeApi(), None)
    lines = [line for line in trace.read_text(encoding="utf-8").splitlines() if " resumed>" not in line]

    def at(word: str, which: int) -> float:
        return float([line for line in lines if word in line][which].split()[1])

    return [at(word, which) - at("execve(", 0) for _, word, which in STEPS]


def draw(moments: Sequence[float]) -> str:
    """Draw the steps of a start below each other, a character for a millisecond."""
    bars, before = [], 0.0
    for (name, _, _), moment in zip(STEPS, moments, strict=True):
        took = moment - before
        bars.append(
            f"{took * 1000:5.1f} ms  {' ' * round(before * 1000)}{'█' * max(1, round(took * 1000))}  {name}"
        )
        before = moment
    return "\n".join(bars)


def main() -> None:
    """Measure under each condition, and tell."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--layers", type=Path, default=Path("dist"), help="folder with the zips")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="starts of each way under each condition")
    parser.add_argument("--json", type=Path, help="file for the figures")
    chosen = parser.parse_args()
    machine = {"aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "app.py").write_text("def handler(event, context):\n    return event\n", encoding="utf-8")
        os.environ["PYTHONPATH"] = os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]).rstrip(
            os.pathsep
        )
        handler = [sys.executable, "-m", "awslambdaric", "app.handler"]
        all_ways = ways(chosen.layers, folder, machine)
        conditions = {
            "two cores": measure(all_ways, handler, chosen.rounds, cpu=None, cold=False),
            "one core": measure(all_ways, handler, chosen.rounds, cpu=0, cold=False),
            "two cores, our files not in memory": measure(
                all_ways, handler, chosen.rounds, cpu=None, cold=True
            ),
            "one core, our files not in memory": measure(all_ways, handler, chosen.rounds, cpu=0, cold=True),
        }
        traces = chosen.rounds // 2 if shutil.which("strace") else 0
        traced = [waterfall(all_ways[1], handler, folder / "trace") for _ in range(traces)]
    print(report.machine())
    print(f"Milliseconds until the first poll, medians of {chosen.rounds}; + is what we add.\n")
    rows = []
    for way in all_ways[1:]:
        cells = [
            f"+{figures[way.name].milliseconds - figures[all_ways[0].name].milliseconds:.1f}"
            for figures in conditions.values()
        ]
        memory = statistics.median(conditions["two cores"][way.name].resident_kib) / 1000 * 1.024
        rows.append([way.name, *cells, f"{memory:.1f}"])
    without = [f"{figures[all_ways[0].name].milliseconds:.0f}" for figures in conditions.values()]
    print(report.table(["", *conditions, "resident MB"], [[all_ways[0].name, *without, ""], *rows]))
    if traced:
        print(f"\nA start of the {all_ways[1].name}, under strace, which adds some milliseconds:\n")
        print(draw([statistics.median(moments) for moments in zip(*traced, strict=True)]))
    report.write_json(
        chosen.json,
        {
            condition: {
                name: {"seconds": each.seconds, "resident_kib": each.resident_kib}
                for name, each in figures.items()
            }
            for condition, figures in conditions.items()
        },
    )


if __name__ == "__main__":
    main()
