"""A user's project can test that work runs after the answer, with nothing but this package installed."""

import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SAMPLE_PROJECT = Path(__file__).parent / "sample_project"
DEV_HANDLER = Path(__file__).with_name("dev_handler.py")


def run_pytest(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run pytest as a user would, with no option or file that names the plugin."""
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-W", "error", *arguments],
        cwd=folder,
        env=os.environ | {"PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


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
