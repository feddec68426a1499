"""Whether large bodies stay in memory: resident memory of the proxy after many small and after many large ones.

A proxy that keeps nothing is as large after 200 invocations of 6 MB as after 10,000 of 1 KB. Each traffic has a
proxy of its own, started for it.
"""

import tempfile
from pathlib import Path

import contest
import report
from contest import Contestant, Trial
from ends import Traffic

SMALL = Traffic(1024, 1024)
LARGE = Traffic(6 * 2**20, 6 * 2**20)


def resident_after(contestant: Contestant, traffic: Traffic, cycles: int) -> int:
    """The proxy's resident bytes after that many cycles."""
    with Trial(contestant, traffic) as trial:
        trial.run(cycles)
        return trial.resident_bytes()


def main() -> None:
    """Measure and tell."""
    options = contest.parser(__doc__)
    options.add_argument("--peer", action="append", default=[], type=contest.peer, help=contest.PEER_HELP)
    chosen = contest.parse(options)
    small_cycles, large_cycles = (500, 10) if chosen.quick else (10_000, 200)
    figures = {}
    with tempfile.TemporaryDirectory() as directory:
        floor = contest.byte_relay(Path(directory))
        for contestant in (floor, contest.post_runner(chosen.python), *chosen.peer):
            figures[contestant.name] = {
                "start": resident_after(contestant, SMALL, 1),
                "small": resident_after(contestant, SMALL, small_cycles),
                "large": resident_after(contestant, LARGE, large_cycles),
            }
    header = ("RSS MiB", "after one", f"after {small_cycles:,} of 1 KB", f"after {large_cycles} of 6 MB")
    print(report.table(header, [[name, *map(report.mebi, row.values())] for name, row in figures.items()]))
    report.write_json(chosen.json, figures)


if __name__ == "__main__":
    main()
