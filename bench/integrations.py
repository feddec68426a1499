"""What each integration costs its caller, and what the preload costs Node; needs `nox -s integrations` to have run.

    INTEROP_PARTS=.nox/.cache/interop PYTHONPATH=. python bench/integrations.py [--rounds 60] [--json FILE]

Each example is served twice, with the runner and without it, and invoked in turns; its work ends at once. The helper is
in both: without the runner it asks nobody. So the difference is what waiting for work adds to an answer. The first row
is that one request alone, as the handler sees it: on a busy machine it is the only one with little else in it.
"""

import argparse
import json
import os
import statistics
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

from tests.integrations.collector import Collector
from tests.integrations.conftest import Stage, http_event, real_parts
from tests.integrations.obtain import PACKAGE
from tests.integrations.test_exporters import EXPORTERS
from tests.integrations.test_slack import slash_command
from tests.integrations.test_web import IN_NODE, IN_PYTHON
from tests.interop.obtain import NEWEST_NODE, node_in

from aws_lambda_post_runner.ambient import with_preload
from aws_lambda_post_runner.dev.emulator.environment import Options
from aws_lambda_post_runner.dev.testing import RunningFunction

WARM_UP = 5


@dataclass(frozen=True)
class Row:
    """Milliseconds: medians without and with it, the median of the differences in turn, and that of the fastest."""

    name: str
    without_ms: float
    with_ms: float
    added_ms: float
    fastest_added_ms: float


def row_of(name: str, times: Sequence[Sequence[float]]) -> Row:
    """What came of pairs: without it, and with it.

    Whatever else the machine does makes both slower: the fastest of each are what they take by themselves.
    """
    without, behind = zip(*times, strict=True)
    added = statistics.median(after - before for before, after in times)
    figures = (statistics.median(without), statistics.median(behind), added, min(behind) - min(without))
    return Row(name, *(round(each, 2) for each in figures))


def in_turns(both: Sequence[Callable[[], float]], rounds: int) -> list[list[float]]:
    """Measure the two in turns; the one that was first is second the next time, for the second finds things warm."""
    times = []
    for turn in range(rounds):
        order = (0, 1) if turn % 2 else (1, 0)
        found = {which: both[which]() for which in order}
        times.append([found[0], found[1]])
    return times


def answer_ms(function: RunningFunction, event: Any) -> float:
    """Invoke it; return how long the answer took."""
    began = time.perf_counter()
    function.invoke(event)
    return (time.perf_counter() - began) * 1000


@contextmanager
def stage() -> Iterator[Stage]:
    """Functions that are not frozen, and a gate that is open."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as functions:

        def start(options: Options) -> RunningFunction:
            return functions.enter_context(RunningFunction(options))

        made = Stage(Path(folder) / "open", start)
        made.open_gate()
        yield made


def measure(
    name: str, run: Callable[[Stage, bool], RunningFunction], event: dict[str, Any], rounds: int
) -> Row:
    """Invoke in turns with the runner and without it."""
    with stage() as made:
        pair = [run(made, runner) for runner in (False, True)]
        times = in_turns([partial(answer_ms, function, event) for function in pair], WARM_UP + rounds)[
            WARM_UP:
        ]
    return row_of(name, times)


def example(name: str) -> Callable[[Stage, bool], RunningFunction]:
    """Return what runs an example of the web frameworks."""
    return lambda made, runner: made.run_example(name, runner=runner)


def exporting(name: str, environ: dict[str, str]) -> Callable[[Stage, bool], RunningFunction]:
    """Return what runs an example of the exporters."""
    return lambda made, runner: made.run_python(f"{name}.handler", environ=environ, runner=runner)


def all_rows(rounds: int) -> Iterator[Row]:
    """Measure every integration."""
    for name in (*IN_PYTHON, *IN_NODE):
        yield measure(name, example(name), http_event("POST", "/users/ann"), rounds)
    yield measure("with_slack", example("with_slack"), slash_command("welcome"), rounds)
    with Collector() as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        collector.answering.set()
        for each in EXPORTERS:
            yield measure(each.example, exporting(each.example, each.environ(collector)), {}, rounds)
        collector.shutdown()


def asking(rounds: int) -> Row:
    """Measure the one request that waiting adds to an answer, inside the handler."""
    with stage() as made:
        function = made.run_python("asks.handler")
        function.invoke(WARM_UP)
        times = function.invoke(rounds).json()
    return row_of("the helper's request in Python", [(0.0, each) for each in times])


def start_ms(environment: dict[str, str]) -> float:
    """How long Node takes to start and end."""
    began = time.perf_counter()
    subprocess.run([node_in(real_parts(), NEWEST_NODE), "-e", "0"], env=environment, check=True)
    return (time.perf_counter() - began) * 1000


def preload(rounds: int) -> Row:
    """Measure Node's start with the preload and without it, in turns."""
    plain = {"PATH": os.environ["PATH"], "AWS_LAMBDA_POST_RUNNER_AMBIENT": "next,vercel"}
    loaded = with_preload(plain, str(PACKAGE / "ambient.js"))
    times = in_turns([partial(start_ms, environment) for environment in (plain, loaded)], rounds)
    return row_of("Node's start, with the preload", times)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    print("| | without ms | with ms | added ms | fastest added ms |\n| --- | --- | --- | --- | --- |")
    rows = []
    for row in chain([asking(given.rounds), preload(given.rounds)], all_rows(given.rounds)):
        rows.append(asdict(row))
        print("|", " | ".join(map(str, asdict(row).values())), "|", flush=True)
    if given.json:
        given.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
