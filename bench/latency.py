"""What one more hop costs an invocation: time added to a cycle, processor time and memory of the proxy.

A cycle is one poll and one response. Contestants are measured in turn, A B C C B A, so that a machine that slows
down slows down for all; what a contestant adds is taken against the direct figure of the same block of turns.
Each turn starts with cycles that are not counted. Each block has processes of its own, started in the order of the
block before turned round: one process of the same code is faster than another, as its memory happens to lie, and as
a rule the one that was started last. No post command runs but in the scenario that is about it, where the poll is
held until `true` has ended.

With `--against` the same proxy in another state (the commit before, say) is measured beside ours, and what we add is
given as a share of what that one adds, in the same run.

The floor is a byte relay in C: what any proxy in the way must cost. `times floor` is what a contestant adds
divided by what the byte relay adds.
"""

import shlex
import statistics
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import contest
import report
import valid
from contest import Contestant, Trial
from ends import Traffic

KIB = 1024
MIB = 1024 * KIB
DIRECT, FLOOR, OURS, BEFORE = range(4)
PICTURE_POINTS = 200


@dataclass(frozen=True)
class Scenario:
    """A kind of traffic, and how many cycles a turn has: about a third of a second's worth."""

    name: str
    traffic: Traffic
    cycles: int
    mode: str = "OnRequest"
    """When our post command runs: here for nobody, since nobody has asked for it."""


SCENARIOS = (
    Scenario("1 KB", Traffic(1 * KIB, 1 * KIB), 1500),
    Scenario("100 KB", Traffic(100 * KIB, 100 * KIB), 800),
    Scenario("6 MB", Traffic(6 * MIB, 6 * MIB), 30),
    Scenario("1 KB, a connection per request", Traffic(1 * KIB, 1 * KIB, connection_per_request=True), 800),
    Scenario("1 MB response streamed in 16 KB chunks", Traffic(1 * KIB, 1 * MIB, chunk_bytes=16 * KIB), 80),
    Scenario("1 KB, a post command", Traffic(1 * KIB, 1 * KIB), 60, mode="AfterResponse"),
)


@dataclass
class Turns:
    """What was seen of one contestant: one entry for each of its turns, in order; times in nanoseconds."""

    durations: list[list[int]] = field(default_factory=list)
    cpu_per_cycle: list[float] = field(default_factory=list)
    resident_bytes: int = 0

    def percentiles(self, rank: int) -> list[float]:
        """The given percentile of each turn."""
        return [statistics.quantiles(turn, n=100, method="inclusive")[rank - 1] for turn in self.durations]


@dataclass(frozen=True)
class Outcome:
    """One contestant's figures in one scenario: nanoseconds per cycle, bytes."""

    name: str
    p50: float
    p99: float
    added_p50: float
    """Median over the blocks of turns of the difference to direct in the same block."""
    added_p50_least: float
    added_p50_most: float
    times_floor: float | None
    """None for direct."""
    proxy_cpu: float
    resident_bytes: int
    distribution: list[float]
    """Evenly spaced quantiles of all cycles, for the picture."""


def measure(scenario: Scenario, contestants: Sequence[Contestant], blocks: int) -> list[Turns]:
    """Let the contestants take turns, forth and back in each block."""
    seen = [Turns() for _ in contestants]
    order = [*range(len(contestants))]
    for _ in range(blocks):
        order.reverse()
        with ExitStack() as running:
            trials = {
                place: running.enter_context(Trial(contestants[place], scenario.traffic)) for place in order
            }
            for place in order:
                trials[place].run(scenario.cycles)
            for place in [*order, *reversed(order)]:
                take_turn(trials[place], scenario.cycles, seen[place])
    return seen


def take_turn(trial: Trial, cycles: int, turns: Turns) -> None:
    """Some cycles to find the caches again, then those that count."""
    trial.run(cycles // 10)
    cpu_before = trial.cpu_ns()
    turns.durations.append(trial.run(cycles))
    turns.cpu_per_cycle.append((trial.cpu_ns() - cpu_before) / cycles)
    turns.resident_bytes = trial.resident_bytes()


def added_by_block(turns: Turns, direct: Turns) -> list[float]:
    """What the contestant adds to the median cycle, once for each block of two turns."""
    pairs = zip(turns.percentiles(50), direct.percentiles(50), strict=True)
    added = [through_it - without for through_it, without in pairs]
    return [statistics.fmean(block) for block in zip(added[::2], added[1::2], strict=True)]


def judge(contestants: Sequence[Contestant], seen: Sequence[Turns]) -> list[Outcome]:
    """The figures of one scenario."""
    floor = statistics.median(added_by_block(seen[FLOOR], seen[DIRECT]))
    outcomes = []
    for contestant, turns in zip(contestants, seen, strict=True):
        added = added_by_block(turns, seen[DIRECT])
        is_direct = turns is seen[DIRECT]
        every_cycle = [duration for turn in turns.durations for duration in turn]
        outcomes.append(
            Outcome(
                name=contestant.name,
                p50=statistics.median(turns.percentiles(50)),
                p99=statistics.median(turns.percentiles(99)),
                added_p50=statistics.median(added),
                added_p50_least=min(added),
                added_p50_most=max(added),
                times_floor=None if is_direct else statistics.median(added) / floor,
                proxy_cpu=0 if is_direct else statistics.median(turns.cpu_per_cycle),
                resident_bytes=0 if is_direct else turns.resident_bytes,
                distribution=statistics.quantiles(every_cycle, n=PICTURE_POINTS, method="inclusive"),
            )
        )
    return outcomes


HEADER = ("", "p50 µs", "p99 µs", "added p50 µs", "least to most", "times floor", "proxy CPU µs", "RSS MiB")


def row(outcome: Outcome) -> list[str]:
    """One line of the table."""
    figures = [outcome.name, report.micro(outcome.p50), report.micro(outcome.p99)]
    if outcome.times_floor is None:
        return figures + [""] * (len(HEADER) - len(figures))
    return [
        *figures,
        report.micro(outcome.added_p50),
        f"{report.micro(outcome.added_p50_least)} to {report.micro(outcome.added_p50_most)}",
        f"{outcome.times_floor:.2f}",
        report.micro(outcome.proxy_cpu),
        report.mebi(outcome.resident_bytes),
    ]


def shares(ours: Outcome, before: Outcome) -> str:
    """What we take of what the other state takes, in one line."""
    pairs = {
        "added p50": (ours.added_p50, before.added_p50),
        "p99": (ours.p99, before.p99),
        "proxy CPU": (ours.proxy_cpu, before.proxy_cpu),
        "RSS": (ours.resident_bytes, before.resident_bytes),
    }
    told = (f"{name} {now / then:.2f}x" for name, (now, then) in pairs.items())
    return f"{ours.name} against {before.name}: {', '.join(told)}"


def main() -> None:
    """Measure every scenario and tell."""
    options = contest.parser(__doc__)
    options.add_argument("--peer", action="append", default=[], type=contest.peer, help=contest.PEER_HELP)
    options.add_argument(
        "--ours",
        type=valid.command,
        metavar="COMMAND",
        help="the command that runs our proxy, if not --python",
    )
    options.add_argument(
        "--against",
        type=valid.command,
        metavar="COMMAND",
        help="one that runs it in another state, to compare",
    )
    options.add_argument("--blocks", type=valid.count, default=8, help="blocks of turns in each scenario")
    options.add_argument("--only", choices=[scenario.name for scenario in SCENARIOS], help="one scenario")
    chosen = contest.parse(options)
    blocks = 1 if chosen.quick else chosen.blocks
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as directory:
        floor = contest.byte_relay(Path(directory))
        run_ours = chosen.ours or f"{shlex.quote(chosen.python)} -m aws_lambda_post_runner"
        for scenario in SCENARIOS:
            if chosen.only in {None, scenario.name}:
                ours = contest.run_by(run_ours, mode=scenario.mode, name="post-runner")
                before = (
                    [contest.run_by(chosen.against, mode=scenario.mode, name="before")]
                    if chosen.against
                    else []
                )
                contestants = [contest.DIRECT, floor, ours, *before, *chosen.peer]
                outcomes = judge(contestants, measure(scenario, contestants, blocks))
                table = report.table(HEADER, [row(outcome) for outcome in outcomes])
                print(f"\n### {scenario.name}\n\n{table}", flush=True)
                if chosen.against:
                    print(f"\n{shares(outcomes[OURS], outcomes[BEFORE])}", flush=True)
                figures[scenario.name] = [asdict(outcome) for outcome in outcomes]
    report.write_json(chosen.json, figures)


if __name__ == "__main__":
    main()
