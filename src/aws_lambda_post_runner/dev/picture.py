"""The picture of the first page: the same work in the handler and after its answer, from a real run of both.

`python -m aws_lambda_post_runner.dev.picture FILE.svg` draws it; the handler runs under awslambdaric.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aws_lambda_post_runner.settings import COMMAND, MODE, Mode

from .emulator.environment import Options
from .testing import RunningFunction
from .view.chart import chart_of
from .view.chart_svg import Panel, draw_svg
from .view.timeline import in_words

WORK = "sleep 2"
"""Stands for an upload, a flush, a mail."""
OWN_WORK_S = 0.05
INVOCATIONS = 2
PAUSE_S = 1.0


def before(event: dict[str, Any], context: object) -> dict[str, str]:
    """Answer when the work is done, as a handler without us has to."""
    answer = after(event, context)
    subprocess.run(WORK, shell=True, check=True)  # noqa: S602 - as the post runner does it
    return answer


def after(event: dict[str, Any], _: object) -> dict[str, str]:
    """Answer at once; the work is the post command's."""
    time.sleep(OWN_WORK_S)
    return {"greeting": f"Hello {event['name']}"}


def panel(title: str, handler: str, environ: dict[str, str], *, runner: bool) -> Panel:
    """Run a handler of this module and return what happened."""
    argv = (sys.executable, "-m", "awslambdaric", f"{__package__}.picture.{handler}")
    options = Options(argv, runner=runner, environ=os.environ | environ)
    with RunningFunction(options) as function:
        for number in range(INVOCATIONS):
            if number:
                time.sleep(PAUSE_S)
            answer = function.invoke({"name": "Ada"})
            answer.post_work()
        blocks = function.blocks
    return Panel(title, f"a warm caller waits {in_words(answer.seconds)}", chart_of(blocks, time.time()))


def main() -> None:
    """Run both and draw them side by side."""
    panels = [
        panel(
            "Before: the handler does the work",
            "before",
            {MODE.full_name: Mode.WAIT_UNTIL.value},
            runner=False,
        ),
        panel("After: the post command does it", "after", {COMMAND.full_name: WORK}, runner=True),
    ]
    Path(sys.argv[1]).write_text(draw_svg(panels), encoding="utf-8")


if __name__ == "__main__":
    main()
