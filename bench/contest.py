"""One proxy under measurement, between its two ends: starts the three, tells what they cost, and ends them.

Every trial has ends of its own, so that all contestants can be alive at once and be measured in turn. While
it is not its turn a contestant costs nothing: its handler waits for orders, and nobody polls.

Linux only: what a process costs is read from /proc.
"""

import json
import os
import shlex
import socket
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import report
import valid
from ends import Traffic

HERE = Path(__file__).parent
ENDS = str(HERE / "ends.py")
DESCRIBE = """
import platform
print(platform.python_implementation(), platform.python_version(), platform.python_compiler())
"""
START_TIMEOUT_SECONDS = 10
END_TIMEOUT_SECONDS = 5
STACK_BYTES = 16 * 1024
"""More than a contestant's command line and environment take together."""


@dataclass(frozen=True)
class Contestant:
    """A proxy, as the command that a handler's command is appended to. No command: no proxy."""

    name: str
    command: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


DIRECT = Contestant("direct")


def post_runner(python: str, *, mode: str = "OnRequest", name: str = "post-runner") -> Contestant:
    """Our proxy, run by that interpreter. OnRequest runs the command for nobody who has not asked for it."""
    return run_by(f"{shlex.quote(python)} -m aws_lambda_post_runner", mode=mode, name=name)


def run_by(command: str, *, mode: str = "OnRequest", name: str) -> Contestant:
    """Our proxy, or another state of it, run by that command line."""
    return Contestant(
        name,
        tuple(shlex.split(command)),
        {"AWS_LAMBDA_POST_RUNNER_COMMAND": "true", "AWS_LAMBDA_POST_RUNNER_MODE": mode},
    )


def byte_relay(directory: Path) -> Contestant:
    """The floor, compiled into that directory."""
    program = directory / "byte_relay"
    subprocess.run(["cc", "-O2", "-o", program, HERE / "byte_relay.c"], check=True)
    return Contestant("byte relay", (str(program),))


class Trial:
    """A contestant at work with one kind of traffic. A context manager; on exit its processes are gone."""

    def __init__(self, contestant: Contestant, traffic: Traffic) -> None:
        self.contestant = contestant
        self._traffic = traffic
        self._owned = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as owned:
            self._start(owned)
            self._owned = owned.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._owned.close()

    def _start(self, owned: ExitStack) -> None:
        directory = Path(owned.enter_context(tempfile.TemporaryDirectory()))
        listener = owned.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(directory / "control"))
        listener.listen()
        listener.settimeout(START_TIMEOUT_SECONDS)

        traffic = self._traffic.to_json()
        with socket.create_server(("127.0.0.1", 0), backlog=128) as serving:
            runtime_api_address = "{}:{}".format(*serving.getsockname())
            command = [sys.executable, ENDS, "runtime-api", traffic, str(serving.fileno())]
            runtime_api = subprocess.Popen(command, pass_fds=[serving.fileno()])
        owned.enter_context(runtime_api)
        owned.callback(runtime_api.kill)

        self._complaints = directory / "stderr"
        handler = [sys.executable, ENDS, "handler", traffic, str(directory / "control")]
        command = [*self.contestant.command, *handler]
        environment = {
            **os.environ,
            **self.contestant.environment,
            "AWS_LAMBDA_RUNTIME_API": runtime_api_address,
        }
        with self._complaints.open("wb") as stderr:
            self._proxy = subprocess.Popen(command, env=padded(environment, command), stderr=stderr)
        owned.callback(end, self._proxy)
        try:
            control, _ = listener.accept()
        except TimeoutError:
            raise RuntimeError(self._why("has not started its handler")) from None
        self._control = owned.enter_context(control)
        self._answers = owned.enter_context(control.makefile("r", encoding="ascii"))
        self.address = self.read_answer().strip()
        """Where the handler finds its Runtime API: host:port."""

    def run(self, cycles: int) -> list[int]:
        """Let the handler poll and answer that many times; the duration of each cycle in nanoseconds."""
        self.begin(cycles)
        durations: list[int] = json.loads(self.read_answer())
        return durations

    def begin(self, cycles: int) -> None:
        """As `run`, but at once: the answer is still to be read."""
        self._control.sendall(b"%d\n" % cycles)

    def read_answer(self) -> str:
        """The handler's next line; raises RuntimeError if the handler has ended."""
        answer = self._answers.readline()
        if not answer:
            raise RuntimeError(self._why("has lost its handler"))
        return answer

    def _why(self, what: str) -> str:
        return f"{self.contestant.name} {what}:\n{self._complaints.read_text()[-2000:]}"

    @property
    def pid(self) -> int:
        """The proxy's process."""
        return self._proxy.pid

    def send_signal(self, number: int) -> None:
        """Send a signal to the proxy."""
        self._proxy.send_signal(number)

    def cpu_ns(self) -> int:
        """Time on a processor of the proxy alone, in user space and in the kernel, since it was started."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(task.read_text().split()[0]) for task in tasks)

    def resident_bytes(self) -> int:
        """Resident memory of the proxy alone."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


def padded(environment: Mapping[str, str], command: Sequence[str]) -> dict[str, str]:
    """The environment, with a variable that makes it and the command the same number of bytes for every contestant.

    Both lie at the beginning of the stack. One longer variable moves all of it, and has made the same code a sixth
    slower.
    """
    words = [*command, *(f"{name}={value}" for name, value in environment.items())]
    length = sum(len(os.fsencode(word)) + 1 for word in words)
    return {**environment, "PADDING": "x" * (-length % STACK_BYTES)}


def end(proxy: subprocess.Popen[bytes]) -> None:
    """Wait for a proxy whose handler has ended; kill one that stays."""
    try:
        proxy.wait(END_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        proxy.kill()
        proxy.wait()


PEER_HELP = "NAME=COMMAND: another proxy that takes a handler command; may be repeated"


def peer(text: str) -> Contestant:
    """NAME=COMMAND of the command line."""
    return Contestant(*valid.named_command(text))


def parser(description: str | None) -> ArgumentParser:
    """The options that all scripts share; the help begins with the description's first line."""
    options = ArgumentParser(description=(description or "").split("\n")[0])
    options.add_argument(
        "--python", type=valid.program, default=sys.executable, help="the interpreter that runs our proxy"
    )
    options.add_argument("--pin", action="store_true", help="keep all processes on one core")
    options.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    options.add_argument("--json", type=valid.file, help="write the figures to this file")
    return options


def parse(options: ArgumentParser) -> Namespace:
    """Read the command line, keep to one core if told to, and say what the figures to come belong to."""
    chosen = options.parse_args()
    cores = os.sched_getaffinity(0)
    if chosen.pin:
        cores = {max(cores)}
        os.sched_setaffinity(0, cores)
    python = subprocess.run([chosen.python, "-c", DESCRIBE], check=True, capture_output=True, text=True)
    ours = getattr(chosen, "ours", None)
    by = f"by {ours}" if ours else f"on {python.stdout.strip()}"
    print(f"{report.machine()}, {len(cores)} in use; our proxy {by}", flush=True)
    return chosen
