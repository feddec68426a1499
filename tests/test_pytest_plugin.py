"""A user's project can test that work runs after the answer, with nothing but this package installed."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import get_type_hints

import pytest

from aws_lambda_post_runner import pytest_plugin as run_lambda_plugin
from aws_lambda_post_runner.dev.testing import RunningFunction

SAMPLE_PROJECT = Path(__file__).parent / "sample_project"
DEV_HANDLER = Path(__file__).with_name("dev_handler.py")


def run_pytest(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest as a user would, with no option or file that names the plugin."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *arguments],
        cwd=folder,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
        capture_output=True,
        check=False,
        timeout=60,
    )
    # Not `text=True`: that would make a line break of a carriage return.
    return subprocess.CompletedProcess(done.args, done.returncode, done.stdout.decode(), done.stderr.decode())


def written(folder: Path, test: str) -> Path:
    """Write a test file that uses HANDLER, the function of our own tests."""
    head = f"import sys\n\nHANDLER = (sys.executable, {str(DEV_HANDLER)!r})\n\n"
    (folder / "test_function.py").write_text(head + textwrap.dedent(test))
    (folder / "pytest.ini").write_text("[pytest]\n")
    return folder


@pytest.mark.interop
def test_the_sample_project_passes_its_own_tests(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name in ("app.py", "record.sh", "test_app.py"):
        shutil.copy(SAMPLE_PROJECT / name, tmp_path)
    done = run_pytest(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "2 passed" in done.stdout


def test_a_test_can_say_when_the_answer_came_and_what_the_command_did(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        """
        def test_it(run_lambda, tmp_path):
            gate = tmp_path / "gate"
            command = "while [ ! -e $GATE ]; do sleep 0.01; done; echo done; exit $STATUS"
            function = run_lambda(*HANDLER, command=command, environ={"STATUS": "3", "GATE": str(gate)})
            answer = function.invoke({"n": 1})
            assert answer.status == 200
            assert answer.json() == {"n": 1}
            assert answer.seconds >= 0
            gate.touch()
            work = answer.post_work()
            assert work.seconds_after_answer >= 0
            assert (work.request_id, work.exit_status) == (answer.request_id, 3)
            assert "done" in function.output
            assert function.invoke({"do": "fail"}).function_error
        """,
    )
    done = run_pytest(folder)
    assert done.returncode == 0, done.stdout


def test_work_that_takes_too_long_for_a_test_is_a_failure_and_leaves_no_process(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        """
        def test_it(run_lambda):
            answer = run_lambda(*HANDLER, command="echo $$ > pid; exec sleep 600").invoke()
            answer.post_work(timeout=0.5)
        """,
    )
    done = run_pytest(folder)
    assert done.returncode == 1
    assert "has not ended within 0.5 s" in done.stdout
    pid = int((tmp_path / "pid").read_text())
    assert not Path(f"/proc/{pid}/exe").exists()


def test_a_failing_test_shows_what_the_function_wrote_and_its_timeline(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        """
        def test_it(run_lambda):
            function = run_lambda(*HANDLER, command="echo from the command; exit 3")
            answer = function.invoke({"do": "fail"})
            answer.post_work()
            assert answer.status == 201
        """,
    )
    done = run_pytest(folder)
    assert done.returncode == 1
    _, _, shown = done.stdout.partition("- function 1 wrote -")
    wrote, _, timeline = shown.partition("- function 1 timeline -")
    assert "from the command" in wrote
    assert "the post command ended with status 3" in wrote
    assert "the handler failed: AsTold" in timeline
    assert "post work" in timeline


def test_a_record_of_several_lines_is_shown_as_several_lines(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        """
        def test_it(run_lambda):
            # As awslambdaric writes a traceback, which a terminal would overwrite line by line.
            function = run_lambda(*HANDLER, command="printf 'Traceback\\\\rKeyError\\\\n'")
            function.invoke({}).post_work()
            assert False
        """,
    )
    assert "\nTraceback\nKeyError\n" in run_pytest(folder).stdout


def test_a_test_that_fails_in_the_midst_of_many_invocations_shows_them_on_one_axis(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        """
        def test_it(run_lambda):
            function = run_lambda(*HANDLER, mode="WaitUntil")
            for number in range(5):
                function.invoke(number)
            raise AssertionError
        """,
    )
    done = run_pytest(folder)
    _, _, timeline = done.stdout.partition("- function 1 timeline -")
    assert "▲ answer" in timeline
    assert "#5 " in timeline
    assert "- function 1 wrote -" not in done.stdout


def test_a_test_that_passes_shows_nothing(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        """
        def test_it(run_lambda):
            run_lambda(*HANDLER, command="echo loud").invoke().post_work()
        """,
    )
    assert "loud" not in run_pytest(folder, "-rA").stdout


def test_a_test_can_see_what_the_handler_asked_to_wait_for(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        """
        def test_it(run_lambda, tmp_path):
            function = run_lambda(*HANDLER)
            gate = tmp_path / "gate"
            answer = function.invoke({"do": "finish later", "wait_for": str(gate)})
            function.wait_for("poll-held")  # a wait that ends before we have the acknowledgement holds nobody
            gate.touch()
            waits = answer.waits()
            assert (waits.request_id, waits.expired) == (answer.request_id, 0)
            assert waits.seconds_after_answer >= 0
            assert answer.post_work() is None
            assert function.invoke(1).waits() is None
        """,
    )
    done = run_pytest(folder)
    assert done.returncode == 0, done.stdout


def test_a_test_can_choose_the_mode_and_how_many_are_answered_at_once(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        """
        def test_mode(run_lambda):
            function = run_lambda(*HANDLER, command="true", mode="AfterError")
            assert function.invoke(1).post_work() is None
            assert function.invoke({"do": "fail"}).post_work().exit_status == 0

        def test_concurrency(run_lambda):
            function = run_lambda(*HANDLER, "fork", command="true", concurrency=3)
            answers = function.invoke_at_once(*[{"do": "tell pid"}] * 3)
            assert [answer.post_work().exit_status for answer in answers] == [0, 0, 0]
        """,
    )
    done = run_pytest(folder)
    assert done.returncode == 0, done.stdout


def test_the_fixtures_type_is_public() -> None:
    hints = get_type_hints(run_lambda_plugin.RunLambda.__call__, {"RunningFunction": RunningFunction})
    assert hints["return"] is RunningFunction


def test_a_function_that_cannot_be_served_is_an_error_of_its_test(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        """
        import pytest

        def test_it(run_lambda):
            with pytest.raises(TypeError):
                run_lambda(*HANDLER, nonsense=1)
        """,
    )
    assert run_pytest(folder).returncode == 0


def test_the_plugin_costs_a_test_run_next_to_nothing() -> None:
    code = (
        "import sys, aws_lambda_post_runner.pytest_plugin; print({'trio', 'h11', 'rich'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.strip() == "set()"
