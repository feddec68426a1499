"""How long people wait for `dev`, and how soon we end after the handler.

Two distributions, of fresh processes each: from the start of `dev` to the first answer, and from the death of a
handler that polls to our end. The tests only hold that neither waits for a clock.
"""

import json
import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import contest
import report

HANDLER = str(Path(__file__).parent.parent / "tests" / "dev_handler.py")
"""A handler with a runtime client of its own, which needs nothing but Python."""
PIDS_HANDLER = "import os, sys; os.write(1, b'%d' % os.getpid()); sys.stdin.read()"
"""A handler that says who it is, and waits."""
TIMES = 40


def first_answer(python: str) -> int:
    """The nanoseconds from the start of `dev` to its first answer."""
    began = time.time_ns()
    output = subprocess.check_output(
        [
            python,
            "-m",
            "aws_lambda_post_runner",
            "dev",
            "--event",
            "{}",
            "--json",
            "--",
            sys.executable,
            HANDLER,
        ],
        env={**os.environ, "AWS_LAMBDA_POST_RUNNER_COMMAND": "true"},
    )
    moments = [json.loads(line) for line in output.splitlines()]
    answered = next(moment["time"] for moment in moments if moment["event"] == "answered")
    return int(answered * 1e9) - began


def our_end(python: str) -> int:
    """The nanoseconds from the death of the handler to ours."""
    said, says = os.pipe()
    with subprocess.Popen(
        [python, "-m", "aws_lambda_post_runner", sys.executable, "-S", "-c", PIDS_HANDLER],
        env={
            **os.environ,
            "AWS_LAMBDA_POST_RUNNER_COMMAND": "true",
            "AWS_LAMBDA_RUNTIME_API": "127.0.0.1:9",  # nobody asks it anything
        },
        stdin=subprocess.PIPE,
        stdout=says,
    ) as runner:
        handler = int(os.read(said, 32))
        os.close(said)
        os.close(says)
        time.sleep(0.2)  # until the runner has nothing more to do
        began = time.perf_counter_ns()
        os.kill(handler, signal.SIGKILL)
        runner.wait()
        return time.perf_counter_ns() - began


WHAT: dict[str, Callable[[str], int]] = {
    "`dev`: start to first answer": first_answer,
    "handler's end to ours": our_end,
}


def main() -> None:
    """Measure and tell."""
    chosen = contest.parse(contest.parser(__doc__))
    figures: dict[str, list[float]] = {}
    for name, measure in WHAT.items():
        took = sorted(measure(chosen.python) for _ in range(4 if chosen.quick else TIMES))
        figures[name] = [took[0], *statistics.quantiles(took, n=4), took[-1]]
    header = ("ms", "least", "lower quartile", "median", "upper quartile", "most")
    print(report.table(header, [[name, *map(report.milli, row)] for name, row in figures.items()]))
    report.write_json(chosen.json, figures)


if __name__ == "__main__":
    main()
