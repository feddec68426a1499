"""What the post command costs beyond a bare spawn of the same shell.

Taken in turn: cycles without a post command, cycles with `true` as post command (the poll is held until it has
ended, so its whole duration is in the cycle), and bare spawns of `SHELL -c true` by posix_spawn and waitpid, which
is the least that any program must pay. The cost is what remains of the second when the other two are taken away.
Before each bare spawn there is a cycle that is not counted, since a shell that is spawned over and over, with
nothing in between, finds the processor's caches as no post command ever does.
"""

import os
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import contest
import report
import valid
from contest import Trial
from ends import Traffic

SHELL = "/bin/bash"
CYCLES = 100


def bare_spawns(trial: Trial, count: int) -> list[int]:
    """The nanoseconds that each spawn of the shell took, from spawn to reaped."""
    durations = []
    for _ in range(count):
        trial.run(1)
        start = time.perf_counter_ns()
        os.waitpid(os.posix_spawn(SHELL, [SHELL, "-c", "true"], os.environ), 0)
        durations.append(time.perf_counter_ns() - start)
    return durations


def main() -> None:
    """Measure and tell."""
    options = contest.parser(__doc__)
    options.add_argument("--blocks", type=valid.count, default=10, help="blocks of turns, forth and back")
    chosen = contest.parse(options)
    without = contest.post_runner(chosen.python, mode="OnRequest")
    with_command = contest.post_runner(chosen.python, mode="AfterResponse")
    rows: dict[str, list[float]] = {"bare spawn": [], "without command": [], "with command": []}
    with ExitStack() as running:
        quiet = running.enter_context(Trial(without, Traffic()))
        turns: dict[str, Callable[[int], list[int]]] = {
            "bare spawn": partial(bare_spawns, quiet),
            "without command": quiet.run,
            "with command": running.enter_context(Trial(with_command, Traffic())).run,
        }
        for turn in turns.values():
            turn(CYCLES)
        for name in [*turns, *reversed(turns)] * (1 if chosen.quick else chosen.blocks):
            rows[name].append(statistics.median(turns[name](CYCLES)))
    spread = {name: statistics.quantiles(medians, n=4) for name, medians in rows.items()}
    costs = [
        with_it - without_it - bare
        for with_it, without_it, bare in zip(
            rows["with command"], rows["without command"], rows["bare spawn"], strict=True
        )
    ]
    spread["cost over a bare spawn"] = statistics.quantiles(costs, n=4)
    header = ("µs, median of turns", "lower quartile", "median", "upper quartile")
    print(report.table(header, [[name, *map(report.micro, row)] for name, row in spread.items()]))
    report.write_json(chosen.json, spread)


if __name__ == "__main__":
    main()
