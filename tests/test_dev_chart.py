"""Many invocations share one axis, as text and as a picture."""

import io
from xml.etree import ElementTree as ET

import pytest
from rich.console import Console

from aws_lambda_post_runner.dev.view.axis import axis_of
from aws_lambda_post_runner.dev.view.chart import Chart, chart_of
from aws_lambda_post_runner.dev.view.chart_svg import Panel, draw_svg
from aws_lambda_post_runner.dev.view.chart_text import draw_chart
from aws_lambda_post_runner.dev.view.timeline import Block

WELL = {"exitStatus": 0, "signal": None, "durationMs": 1000, "cutOffBy": None, "problem": None}
SVG = "{http://www.w3.org/2000/svg}"


def block(number: int, sent: float, *, handler: float = 1.0, command: float = 2.0) -> Block:
    """An invocation that was taken at once, answered after `handler` seconds, with a command of `command` seconds."""
    settled = sent + handler
    return Block(
        number,
        f"r{number}",
        sent,
        "RequestResponse",
        handed=sent,
        settled=settled,
        answered=settled,
        answer_status=200,
        command_began=settled,
        command_ended=settled + command,
        command=WELL,
        ended=settled + command,
        how_ended="polled",
    )


def lines(chart: Chart, width: int = 100) -> list[str]:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    console.print(draw_chart(chart, width))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_what_took_twice_the_time_is_twice_as_long_in_whatever_invocation() -> None:
    _, first, first_command, second, second_command, _ = lines(
        chart_of([block(1, 0), block(2, 3, handler=2, command=4)], 9)
    )
    assert second.count("█") == pytest.approx(2 * first.count("█"), abs=2)
    assert second_command.count("▓") == pytest.approx(2 * first_command.count("▓"), abs=2)
    assert second.index("█") >= first_command.rindex("▓")


def test_sixteen_at_once_begin_in_one_column() -> None:
    drawn = lines(chart_of([block(number, 0) for number in range(1, 17)], 3))
    bars = [line for line in drawn if "█" in line and "#" in line]
    assert len(bars) == 16
    assert len({line.index("█") for line in bars}) == 1


def test_waits_and_commands_have_lanes_of_their_own() -> None:
    one = block(1, 0)
    one.waits_ended = 2.0
    drawn = lines(chart_of([one], 3))
    assert [line.split()[0] for line in drawn[1:4]] == ["#1", "command", "waits"]
    assert drawn[2].count("▓") == pytest.approx(2 * drawn[3].count("▞"), abs=1)


def test_a_long_freeze_is_cut_and_marked_and_the_time_goes_on_behind_it() -> None:
    late = block(2, 3600.0)
    late.frozen = (3.0, 3600.0)
    drawn = lines(chart_of([block(1, 0), late], 3603))
    assert all(line.count("≈") == 1 for line in drawn[1:5])
    assert "░" in drawn[1]
    assert "3600 s" in drawn[0]
    assert "≈ axis cut" in drawn[-1]
    assert drawn[1].count("█") == pytest.approx(drawn[3].count("█"), abs=1)


def test_a_freeze_too_short_for_a_column_is_not_drawn() -> None:
    second = block(2, 3.001)
    second.frozen = (3.0, 3.001)
    assert not any("░" in line for line in lines(chart_of([block(1, 0), second], 7))[:-1])


@pytest.mark.parametrize(("count", "most"), [(20, 60), (40, 40), (200, 20), (5000, 20)])
def test_it_folds_so_that_it_can_be_read(count: int, most: int) -> None:
    chart = chart_of([block(number, 3.0 * number) for number in range(1, count + 1)], 3.0 * count + 3)
    assert len(chart.lanes) <= most
    assert chart.lanes[0].label.strip().startswith("#1")
    assert str(count) in "".join(lane.label for lane in chart.lanes[-2:])


@pytest.mark.parametrize("width", [60, 80, 140])
def test_it_fits_a_terminal(width: int) -> None:
    drawn = lines(chart_of([block(1, 0), block(2, 100)], 200), width)
    assert max(map(len, drawn)) <= width


def test_what_failed_is_marked_in_its_lane_also_when_folded() -> None:
    blocks = [block(number, 3.0 * number) for number in range(1, 201)]
    blocks[42].command = WELL | {"exitStatus": 1}
    failed = [lane.label for lane in chart_of(blocks, 700).lanes if "✗" in lane.label]
    assert failed == ["✗#41-50"]


def test_the_start_of_the_handler_is_seen_though_many_wait_for_it_in_the_same_lane() -> None:
    blocks = [block(number, 1000.0) for number in range(1, 101)]
    for each in blocks:
        each.handed = 1003.0
    blocks[0].init_began, blocks[0].ready = 1000.0, 1003.0
    kinds = [bar.kind for bar in chart_of(blocks, 1010.0).lanes[0].bars]
    assert kinds.index("init") > max(at for at, kind in enumerate(kinds) if kind == "queued")


def test_a_pictures_legend_names_what_is_in_it() -> None:
    first, second = block(1, 1000.0), block(2, 1004.0)
    second.frozen = (1003.0, 1004.0)
    short = draw_svg([Panel("", "", chart_of([first, second], 1010.0))])
    late = block(2, 4600.0)
    late.frozen = (1003.0, 4600.0)
    long = draw_svg([Panel("", "", chart_of([first, late], 4610.0))])
    assert "</tspan> frozen" in short
    assert "cut short" in long


def test_nothing_is_an_empty_axis() -> None:
    assert lines(chart_of([], 0))[-1].startswith("▲")


def test_an_axis_keeps_order_and_ends() -> None:
    axis = axis_of([(10, 12), (11, 13), (1000, 1001)])
    places = [axis.place(time) for time in (0, 10, 12, 13, 500, 1000, 1001, 2000)]
    assert places == sorted(places)
    assert places[:2] == [0, 0]
    assert places[-1] == axis.length < 5
    assert axis.ticks()[0] == (0, "0")
    assert len(axis.ticks(1)) >= 2


def boxes(picture: str, kind: str) -> list[float]:
    root = ET.fromstring(picture)  # noqa: S314 - we have just drawn it
    return [float(each.attrib["width"]) for each in root.iter(f"{SVG}rect") if each.attrib["class"] == kind]


def test_pictures_side_by_side_have_one_scale() -> None:
    slow, fast = chart_of([block(1, 0, handler=4)], 7), chart_of([block(1, 0)], 4)
    picture = draw_svg([Panel("Before", "slow", slow), Panel("After <&>", "fast", fast)])
    one, two = boxes(picture, "handler")
    assert one == pytest.approx(4 * two, rel=0.01)
    assert "After &lt;&amp;&gt;" in picture
    assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")  # nothing is fetched to show it
