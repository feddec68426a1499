"""What the settings for whoever carries the pager cost an invocation: nothing while they are off.

A cycle is one poll and one response, as in latency.py. In turn, A B C C B A: ours with everything off, ours with
metrics, breaker, retries, fallback and spans on, and, with --before, another version of ours (the folder that has its
package). Without a post command and with `true`. Beside the cycle's time stands the processor time of our process,
which a busy machine disturbs less.
"""

import statistics
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import contest
import report
import valid
from contest import Contestant, Trial
from ends import Traffic
from latency import KIB, Turns, take_turn

MODES = {"no command": ("OnRequest", 1000), "with `true` as command": ("AfterResponse", 100)}
"""A mode each, and the cycles of a turn in it."""
ON = {
    "METRICS": "emf",
    "BREAKER": "5/60s",
    "RETRIES": "2",
    "FALLBACK_COMMAND": "true",
    "SPANS": "otlp",
}


def contestants(python: str, mode: str, before: Path | None) -> list[Contestant]:
    """Ours with everything off, which all others are compared with, comes first."""
    off = contest.post_runner(python, mode=mode, name="all off")
    prefixed = {f"AWS_LAMBDA_POST_RUNNER_{name}": value for name, value in ON.items()}
    found = [off, replace(off, name="all on", environment={**off.environment, **prefixed})]
    if before is not None:
        environment = {**off.environment, "PYTHONPATH": str(before)}
        found.append(replace(off, name="before, all off", environment=environment))
    return found


def measure(rivals: Sequence[Contestant], cycles: int, blocks: int) -> list[Turns]:
    """Let them take turns, forth and back in each block."""
    seen = [Turns() for _ in rivals]
    with ExitStack() as running:
        trials = [running.enter_context(Trial(each, Traffic(1 * KIB, 1 * KIB))) for each in rivals]
        for trial in trials:
            trial.run(cycles)
        for place in [*range(len(trials)), *reversed(range(len(trials)))] * blocks:
            take_turn(trials[place], cycles, seen[place])
    return seen


def compared(values: Sequence[float], off: Sequence[float]) -> tuple[str, str]:
    """The median, and the median of the differences to `off`, turn by turn."""
    differences = [value - plain for value, plain in zip(values, off, strict=True)]
    return report.micro(statistics.median(values)), report.micro(statistics.median(differences))


def main() -> None:
    """Measure and tell."""
    options = contest.parser(__doc__)
    options.add_argument("--blocks", type=valid.count, default=10, help="blocks of turns, forth and back")
    options.add_argument("--before", type=valid.source, help="the folder that has another version's package")
    chosen = contest.parse(options)
    rows, kept = [], {}
    for name, (mode, cycles) in MODES.items():
        rivals = contestants(chosen.python, mode, chosen.before)
        seen = measure(rivals, cycles // 10 if chosen.quick else cycles, 1 if chosen.quick else chosen.blocks)
        for rival, turns in zip(rivals, seen, strict=True):
            cycle = compared(turns.percentiles(50), seen[0].percentiles(50))
            cpu = compared(turns.cpu_per_cycle, seen[0].cpu_per_cycle)
            rows.append([name, rival.name, *cycle, *cpu])
            kept[f"{name}, {rival.name}"] = {"p50": turns.percentiles(50), "cpu": turns.cpu_per_cycle}
    header = ("µs per 1 KB cycle", "", "p50", "more than off", "our CPU", "more than off")
    print(report.table(header, rows))
    report.write_json(chosen.json, kept)


if __name__ == "__main__":
    main()
