"""Compares this tree with the commit before it: how much later the handler starts, and what an invocation takes.

Both run in the same minute on the same core, in turn, so that a machine that is slow or busy is so for both. What
counts is the ratio of what each of them adds to a handler without us. Beyond 15 % more the gate is shut, but only after
three tries: a ratio that a busy neighbour has made does not come three times.

    python bench/gate.py                 # against the commit before, or the last one if files differ from it
    python bench/gate.py --base v0.2.0   # against any other

Where there is no commit before, as in a clone without its history, it says so and lets through, but not where one was
asked for. It measures the plain installation, since that of both is there at once; the self-contained executable is
`cold_start.py`'s matter.
"""

import argparse
import compileall
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import contest
import report
from contest import DIRECT, Contestant, Trial
from ends import Traffic

LIMIT = 1.15
TRIES = 3
ROOT = Path(__file__).parent.parent
PACKAGE = "aws_lambda_post_runner"

STARTS = 15
ROUNDS, BLOCKS, CYCLES = 6, 2, 300
"""Two turns each of three contestants in a block, and new processes in each round: one process of the same code is a
fifth slower than another, as its memory happens to lie."""
IN_TURN = [0, 1, 2, 0, 2, 1]
"""Each comes as often after either of the others, and never after itself: what ran just before is found warm."""
PATIENCE_SECONDS = 20
PRIORITY = 20
"""Of real time: before everything ordinary, and behind what keeps the machine alive."""

HANDLER = (
    "bash",
    "-c",
    'exec 3<>"/dev/tcp/${AWS_LAMBDA_RUNTIME_API/://}"; printf "%s\\r\\n\\r\\n" "$0" >&3; cat <&3',
)
POLL = "GET /2018-06-01/runtime/invocation/next HTTP/1.1\r\nHost: gate"
"""A handler that polls at once and waits: it starts within three milliseconds, so most of a start is ours."""


class IncomparableError(Exception):
    """There is nothing to compare with; the text says why."""


@dataclass(frozen=True)
class Ratio:
    """One figure of both: what is added to the same handler without us, in nanoseconds."""

    what: str
    before: float
    now: float

    @property
    def value(self) -> float:
        """How many times as much as before."""
        return self.now / self.before

    @property
    def is_too_much(self) -> bool:
        """Tell whether the gate is to be shut."""
        return self.value > LIMIT


def unpack_base(repository: Path, base: str | None, folder: Path) -> str:
    """Unpack what is to be compared with; return the commit. Raises IncomparableError where there is none."""
    commit = _base_of(repository, base)
    archive = subprocess.run(
        ["git", "archive", commit, "src"], cwd=repository, check=False, capture_output=True
    )
    if archive.returncode != 0:
        raise IncomparableError(f"{commit} cannot be unpacked: {archive.stderr.decode().strip()}")
    with tarfile.open(fileobj=BytesIO(archive.stdout)) as opened:
        opened.extractall(folder, filter="data")
    tried = subprocess.run(
        [sys.executable, "-m", PACKAGE, "--version"],
        env=_environment(folder), check=False, capture_output=True, text=True,
    )  # fmt: skip
    if tried.returncode != 0:
        raise IncomparableError(f"{commit} does not start here: {tried.stderr.strip()[-300:]}")
    return commit


def _base_of(repository: Path, base: str | None) -> str:
    """Name the commit to compare with: the one that is given, the last if files differ from it, or the one before."""
    differs = _git(repository, "status", "--porcelain", "--", "src") not in {None, ""}
    wanted = base or ("HEAD" if differs else "HEAD^")
    commit = _git(repository, "rev-parse", "--short", "--verify", "--quiet", f"{wanted}^{{commit}}")
    if commit is None:
        raise IncomparableError(
            f"there is no commit {wanted} here: it is a clone without its history, or none"
        )
    return commit


def _git(repository: Path, *arguments: str) -> str | None:
    """Return what git says; None if it fails."""
    done = subprocess.run(["git", *arguments], cwd=repository, check=False, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


def _environment(folder: Path) -> dict[str, str]:
    """Return an environment in which Python finds the package below a folder before the one that is installed."""
    return {**os.environ, "PYTHONPATH": str(folder / "src")}


def contestants(before: Path, now: Path) -> tuple[Contestant, Contestant, Contestant]:
    """Without us, the tree before, and this one; both compiled, and in places of the same kind."""
    for folder in (before, now):
        compileall.compile_dir(folder, quiet=1)
    ours = contest.post_runner(sys.executable)

    def of(name: str, folder: Path) -> Contestant:
        return Contestant(name, ours.command, {**ours.environment, "PYTHONPATH": str(folder / "src")})

    return DIRECT, of("before", before), of("now", now)


def invocation(all_three: Sequence[Contestant]) -> Ratio:
    """Compare the median duration of a poll and its answer, 1 KB each."""
    seen: list[list[float]] = [[] for _ in all_three]
    for number in range(ROUNDS):
        places = (
            [0, 1, 2] if number % 2 else [0, 2, 1]
        )  # what is started last is a sixth faster than the others
        with ExitStack() as running:
            trials = {place: running.enter_context(Trial(all_three[place], Traffic())) for place in places}
            for place in IN_TURN * BLOCKS:
                trials[place].run(CYCLES // 10)
                seen[place].append(statistics.median(trials[place].run(CYCLES)))
    return _ratio("invocation", seen)


def start(all_three: Sequence[Contestant]) -> Ratio:
    """Compare how long it takes from the start to the handler's first poll."""
    seen: list[list[float]] = [[] for _ in all_three]
    for number in range(STARTS + 1):
        for place, contestant in enumerate(all_three):
            took = _start(contestant)
            if number:  # the first of each writes bytecode
                seen[place].append(took)
    return _ratio("start", seen)


def _start(contestant: Contestant) -> float:
    """Start a handler and wait for its poll; return the nanoseconds."""
    with socket.create_server(("127.0.0.1", 0)) as listener, tempfile.TemporaryFile() as complaints:
        listener.settimeout(PATIENCE_SECONDS)
        environment = {
            **os.environ,
            **contestant.environment,
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:{1}".format(*listener.getsockname()),
        }
        began = time.perf_counter_ns()
        with subprocess.Popen(
            [*contestant.command, *HANDLER, POLL], env=environment, stderr=complaints, start_new_session=True
        ) as process:
            try:
                connection, _ = listener.accept()
                connection.settimeout(PATIENCE_SECONDS)
                with connection:
                    connection.recv(65536)
                    return time.perf_counter_ns() - began
            except TimeoutError:
                complaints.seek(0)
                raise RuntimeError(
                    f"{contestant.name} has not polled:\n{complaints.read().decode()}"
                ) from None
            finally:
                os.killpg(process.pid, 9)


def _ratio(what: str, seen: Sequence[Sequence[float]]) -> Ratio:
    """Take what the two add to the first, by their lower quartiles: what disturbs a turn only ever makes it longer."""
    direct, before, now = (statistics.quantiles(each, n=4, method="inclusive")[0] for each in seen)
    return Ratio(what, before - direct, now - direct)


MEASURES: tuple[Callable[[Sequence[Contestant]], Ratio], ...] = (start, invocation)


def tries(all_three: Sequence[Contestant]) -> Iterator[list[Ratio]]:
    """Measure, and measure what was too much again: each time those figures that are left."""
    left = MEASURES
    for _ in range(TRIES):
        ratios = [measure(all_three) for measure in left]
        yield ratios
        left = tuple(measure for measure, ratio in zip(left, ratios, strict=True) if ratio.is_too_much)
        if not left:
            return


def told(ratio: Ratio) -> str:
    """Return the line of one ratio."""
    unit, name = (report.milli, "ms") if ratio.what == "start" else (report.micro, "µs")
    mark = "too much" if ratio.is_too_much else "fine"
    added = f"adds {unit(ratio.now)} {name}, before {unit(ratio.before)} {name}"
    return f"{ratio.what}: {added}: {ratio.value:.3f} times as much, {mark}"


def _keep_to_ourselves() -> str:
    """Stay on one core, where nobody has to be woken on another, and before all others on it; say if we may not."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(PRIORITY))
    except PermissionError:
        return ", which it shares with whatever else runs"
    return ""


def main() -> int:
    """Compare; return 1 if a figure was too much each time."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--base", help="the commit to compare with")
    parser.add_argument("--repository", type=Path, default=ROOT, help="where the commit is")
    chosen = parser.parse_args()
    disturbed = _keep_to_ourselves()
    ratios: list[Ratio] = []
    with tempfile.TemporaryDirectory() as temporary:
        before, now = (
            Path(temporary) / "one",
            Path(temporary) / "two",
        )  # as long: a longer variable moves the stack
        try:
            commit = unpack_base(chosen.repository, chosen.base, before)
        except IncomparableError as why:
            if chosen.base is not None:
                print(f"gate: shut: {why}")
                return 1
            print(f"gate: nothing to compare with, so it is open: {why}")
            return 0
        print(f"gate: against {commit}, on one core of a {report.machine()}{disturbed}", flush=True)
        shutil.copytree(ROOT / "src", now / "src", ignore=shutil.ignore_patterns("__pycache__"))
        for ratios in tries(contestants(before, now)):
            for ratio in ratios:
                print(told(ratio), flush=True)
    shut = [ratio.what for ratio in ratios if ratio.is_too_much]
    if shut:
        print(
            f"gate: shut: {' and '.join(shut)} more than {LIMIT - 1:.0%} above {commit}, {TRIES} times of {TRIES}"
        )
    else:
        print("gate: open")
    return 1 if shut else 0


if __name__ == "__main__":
    sys.exit(main())
