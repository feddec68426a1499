"""Where the microseconds of a cycle go: trio, h11, our own modules, and the kernel's share of each.

The proxy runs under `sampler.py`, which charges the ticks of its processor time; the scheduler's own account of
that time, divided by the cycles, turns shares into microseconds. Counts of system calls come from strace, in
another turn, since it slows what it watches.

Limits: a share is a sample of some thousands of ticks, good to about one in a hundred; and each tick wakes trio's
loop once more, which costs trio about one in a hundred.
"""

import json
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import contest
import report
from contest import HERE, Contestant, Trial
from ends import Traffic

STRACE_CYCLES = 500
STRACE_LINE = re.compile(r"^ *[\d.]+ +[\d.]+ +\d+ +(\d+) +(?:\d+ +)?(\w+)$", re.MULTILINE)


def sampled(python: str, samples: Path) -> Contestant:
    """Our proxy under the sampler."""
    plain = contest.post_runner(python)
    command = (python, str(HERE / "sampler.py"), str(samples))
    return Contestant(plain.name, command, plain.environment)


def system_calls(trial: Trial) -> dict[str, float]:
    """How often the proxy makes each system call in one cycle."""
    with tempfile.NamedTemporaryFile("r", encoding="utf-8") as counts:
        strace = subprocess.Popen(
            ["strace", "--summary-only", "--output", counts.name, "--attach", str(trial.pid)],
            stderr=subprocess.PIPE,
        )
        with strace:
            # Its first line says that it is attached.
            if strace.stderr is None or not strace.stderr.readline():
                raise RuntimeError("strace could not attach to the proxy")
            trial.run(STRACE_CYCLES)
            strace.send_signal(signal.SIGINT)
        return {name: int(calls) / STRACE_CYCLES for calls, name in STRACE_LINE.findall(counts.read())}


def main() -> None:
    """Measure and tell."""
    chosen = contest.parse(contest.parser(__doc__))
    cycles = 10_000 if chosen.quick else 100_000
    with tempfile.TemporaryDirectory() as directory:
        samples = Path(directory) / "samples"
        with Trial(sampled(chosen.python, samples), Traffic()) as trial:
            trial.run(cycles // 10)
            cpu_before = trial.cpu_ns()
            trial.run(cycles)
            cpu_per_cycle = (trial.cpu_ns() - cpu_before) / cycles
        seen = json.loads(samples.read_text())
    with Trial(contest.post_runner(chosen.python), Traffic()) as trial:
        trial.run(cycles // 10)
        calls = system_calls(trial) if shutil.which("strace") else {}

    at_any_time, outside_kernel = seen["any time"], seen["outside the kernel"]
    tick = cpu_per_cycle / sum(at_any_time.values())
    figures = {
        name: {"all": ticks * tick, "kernel": (ticks - outside_kernel.get(name, 0)) * tick}
        for name, ticks in sorted(at_any_time.items(), key=lambda item: -item[1])
    }
    figures["total"] = {
        "all": cpu_per_cycle,
        "kernel": sum(figure["kernel"] for figure in figures.values()),
    }
    rows = [
        [
            name,
            report.micro(figure["all"]),
            report.micro(figure["all"] - figure["kernel"]),
            report.micro(figure["kernel"]),
            f"{figure['all'] / cpu_per_cycle:.0%}",
        ]
        for name, figure in figures.items()
    ]
    print(report.table(("µs of CPU per 1 KB cycle", "all", "own code", "in system calls", "share"), rows))
    print(f"\n{sum(at_any_time.values()):,} ticks")
    if calls:
        rows = [[name, f"{count:.2f}"] for name, count in calls.items() if count >= 0.01]
        print("\n" + report.table(("system call", "per cycle"), rows))
    report.write_json(chosen.json, {"time": figures, "system calls": calls})


if __name__ == "__main__":
    main()
