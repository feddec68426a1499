"""What the page "In production" says is what is set, written and measured."""

import re
import shlex
from pathlib import Path

import pytest

import aws_lambda_post_runner
from aws_lambda_post_runner.invocation import Ending, Invocation, Outcome, Settled, Wait, WaitsEnding
from aws_lambda_post_runner.post.metrics import Figures, Source, invocation_line, start_line
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import PREFIX, VARIABLES, Level, read

from .embedded_metrics import metrics

PACKAGE = Path(aws_lambda_post_runner.__file__).parent
FILE = PACKAGE / "post" / "README.md"
PAGE = FILE.read_text(encoding="utf-8")
REFERENCE = (PACKAGE / "REFERENCE.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    return PAGE.partition(f"## {title}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    return [row.split("|")[1] for row in text.splitlines() if row.startswith("| ")][2:]


def our_metrics() -> set[str]:
    source = Source("PostRunner", "orders", "INFO")
    figures = Figures(answer_ms=1, post_ms=1, held_ms=1, wait_ms=1, budget_left_ms=1)
    line = invocation_line(source, figures, request_id="id", function_arn="", now=1e9)
    return set(metrics(line.decode())) | set(metrics(start_line(source, 1, 1e9).decode()))


def test_the_settings_that_it_proposes_are_valid_and_do_what_it_says() -> None:
    block = section("What to set").split("```")[1].removeprefix("sh\n")
    words = [shlex.split(line, comments=True) for line in block.splitlines()]
    given = dict(word.split("=", 1) for line in words for word in line)
    settings = read({"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", PREFIX + "COMMAND": "true", **given})
    assert (settings.timeout, settings.breaker, settings.retries) == (5.0, (5, 60.0), 2)
    assert settings.fallback_reserve == 2.0
    assert settings.metrics


def test_each_setting_that_it_names_is_one() -> None:
    named = set(re.findall(rf"{PREFIX}([A-Z_]+)", PAGE)) - {"FALLBACK_REASON"}
    assert named <= {variable.name for variable in VARIABLES}


def test_each_metric_that_is_to_be_watched_is_written_and_explained() -> None:
    watched = {
        name for cell in first_cells(section("What to watch")) for name in re.findall(r"`(\w+)`", cell)
    }
    assert watched <= our_metrics()
    assert all(f"| `{name}` |" in REFERENCE for name in our_metrics())


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]*)", PAGE))
def test_each_link_leads_somewhere(link: str) -> None:
    if link and not (FILE.parent / link).exists():
        # What is beside the package is not installed with it.
        assert (Path(__file__).parent.parent / link.removeprefix("../../../")).exists()


def all_lines(capfd: pytest.CaptureFixture[str]) -> str:
    """Lines of each kind that the page explains, with its own numbers."""
    report = Report(Level.DEBUG)
    settled = Settled(Invocation("id"), Outcome.RESPONSE, "")
    endings = [
        Ending(exit_status=3, duration_ms=41),
        Ending(signal=15, duration_ms=41, cut_off_by="timeout"),
        Ending(signal=15, duration_ms=41, cut_off_by="deadline"),
        Ending(problem="no time was left before the deadline", cut_off_by="deadline"),
        Ending(problem="/bin/zsh: No such file or directory"),
        Ending(exit_status=0, not_captured=("event",)),
    ]
    for ending in endings:
        report.command_ended(settled, ending)
    report.breaker_opened(settled, 5, 60.0)
    report.breaker_closed(settled, 40)
    report.fallback_ended(settled, Ending(exit_status=1), "failed")
    report.post_work_failed(settled, RuntimeError())
    waits = (Wait("send_mail", 0.0), Wait("", 0.0))
    for cause in ("timeout", "exit"):
        report.waits_ended(settled, WaitsEnding(2, waits, 1, cause))
    return capfd.readouterr().err


def test_each_line_that_it_explains_is_one_that_we_write(capfd: pytest.CaptureFixture[str]) -> None:
    written = all_lines(capfd) + source_texts()
    for cell in first_cells(section("What each line means")):
        [quoted] = re.findall("`(.+)`", cell)
        for part in filter(None, (each.strip() for each in quoted.split("…"))):
            assert part in written, part


def source_texts() -> str:
    """For lines that no function of the report's own makes: the text in the source."""
    rooms = [PACKAGE / "proxy" / "relay.py", PACKAGE / "post" / "spans.py"]
    return "".join(room.read_text(encoding="utf-8") for room in rooms)
