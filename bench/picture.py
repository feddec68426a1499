"""Draw the latency distributions that `latency.py --json` wrote.

    python bench/picture.py FIGURES.json PICTURE.svg

One panel for each scenario: across, the duration of a cycle; upward, the share of cycles that took no longer.
"""

import json
import sys
from pathlib import Path

import matplotlib as mpl
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullLocator

COLUMNS = 2
PANEL_INCHES = (5.0, 3.2)


def draw(document: Path, picture: Path) -> None:
    """Read the figures and write the picture; its suffix decides the format."""
    read = json.loads(document.read_text())
    scenarios = read["figures"]
    # Without these two an SVG would be another file each time it is drawn.
    mpl.rcParams["svg.hashsalt"] = "latency"
    metadata = {"Date": None} if picture.suffix == ".svg" else None

    rows = -(-len(scenarios) // COLUMNS)
    width, height = PANEL_INCHES
    figure, panels = plt.subplots(rows, COLUMNS, figsize=(COLUMNS * width, rows * height), squeeze=False)
    for panel in panels.flat[len(scenarios) :]:
        panel.set_axis_off()
    for panel, (scenario, outcomes) in zip(panels.flat, scenarios.items(), strict=False):
        for outcome in outcomes:
            durations = [nanoseconds / 1000 for nanoseconds in outcome["distribution"]]
            shares = [100 * (rank + 1) / (len(durations) + 1) for rank in range(len(durations))]
            panel.plot(durations, shares, label=outcome["name"], linewidth=1.5)
        panel.set_title(scenario, fontsize=10)
        panel.set_xscale("log")
        panel.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        panel.xaxis.set_major_formatter("{x:,.0f}")
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_xlabel("µs per cycle")
        panel.set_ylabel("% of cycles")
        panel.grid(visible=True, which="both", linewidth=0.3)
        panel.legend(fontsize=8, loc="lower right")
    figure.suptitle(f"One poll and one response, {read['machine']}", fontsize=11)
    figure.tight_layout()
    figure.savefig(picture, metadata=metadata)


if __name__ == "__main__":
    draw(Path(sys.argv[1]), Path(sys.argv[2]))
