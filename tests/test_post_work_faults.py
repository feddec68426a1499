"""Nothing that happens to post work ends the runner, or is noticed by the handler."""

import json
import os
import resource
import signal
import sys
from pathlib import Path

import pytest

from .conftest import Prepare, Start
from .fake_runtime_api import answer_path
from .running import PREFIX, Stage, wait_until

RUNNABLE_AND_FAULTY = """
import sys
from aws_lambda_post_runner import entry
from aws_lambda_post_runner.post import command

def broken(*_):
    raise RuntimeError("nobody foresaw this")

command.command_environment = broken
sys.exit(entry.main())
"""

IGNORED = int(Path("/proc/self/status").read_text().partition("SigIgn:")[2].split()[0], 16)
LIBC_IGNORES = {number for number in (32, 33) if IGNORED >> number - 1 & 1}
"""Of the two that glibc uses itself. Its posix_spawn, by which Python 3.13 starts what it can, may have them ignored in
what is started, this process among it; from then on they kill nothing, and nothing but libc could change that."""

SIGNALS_THAT_END = sorted(
    {*range(1, 65)}
    - LIBC_IGNORES
    - {signal.SIGCHLD, signal.SIGCONT, signal.SIGURG, signal.SIGWINCH}
    - {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
)


def test_a_command_that_any_signal_kills_is_reported_and_the_next_poll_goes_on(prepare: Prepare) -> None:
    stage = prepare()
    handler = stage.runner.connect()
    for number in SIGNALS_THAT_END:
        stage.run_after(f"exec {sys.executable} -c 'import os; os.kill(os.getpid(), {number})'")
        if number in (signal.SIGPIPE, signal.SIGXFSZ):
            stage.run_after(f"kill -{number} $$")  # Python ignores them
        if number == signal.SIGINT:
            stage.run_after("kill -INT $$")
        request_id = stage.next_invocation(handler)
        handler.answer(request_id)
        ended = stage.runner.await_event("post-command-ended", request_id)
        assert ended["signal"] == number, str(ended)
    assert stage.next_invocation(handler)
    stage.runner.stderr.await_line(lambda line: "was killed by SIGRTMIN+1 after" in line)


LOCALES = [{"LC_ALL": "C"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}]


@pytest.mark.parametrize("locale", LOCALES, ids=["C", "ASCII"])
@pytest.mark.parametrize("log_format", ["Text", "JSON"])
def test_a_shell_whose_path_is_no_text_is_reported(
    prepare: Prepare, log_format: str, locale: dict[str, str]
) -> None:
    shell = os.fsdecode(b"/no/such/\xff\xe4")
    stage = prepare(environment={**locale, "AWS_LAMBDA_LOG_FORMAT": log_format}, SHELL=shell)
    handler = stage.runner.connect()
    handler.answer(stage.next_invocation(handler))
    assert stage.next_invocation(handler)
    line = stage.runner.stderr.await_line(lambda line: "No such file" in line)
    if log_format == "JSON":
        assert r"\udcff" in json.loads(line)["message"]


@pytest.mark.parametrize("locale", LOCALES, ids=["C", "ASCII"])
def test_an_error_type_that_the_locale_cannot_encode_reaches_the_command(
    prepare: Prepare, tmp_path: Path, locale: dict[str, str]
) -> None:
    stage = prepare(environment=locale, CAPTURE="response")
    stage.run_after(f'printf "%s" "${PREFIX}ERROR_TYPE" > {tmp_path}/type')
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    document = json.dumps({"errorType": "Größe.Überschritten☂"}).encode()
    handler.exchange("POST", f"/2018-06-01/runtime/invocation/{request_id}/error", document)
    assert stage.runner.await_event("post-command-ended", request_id)["exitStatus"] == 0
    assert (tmp_path / "type").read_text(encoding="utf-8") == "Größe.Überschritten☂"


@pytest.mark.parametrize("letter", ["x", "ü", "☂"])
def test_an_error_type_that_is_longer_than_any_variable_is_cut_and_the_command_runs(
    stage: Stage, letter: str
) -> None:
    """Linux takes no variable of more than 128 KiB; the runtime clients take headers of a mebibyte."""
    stage.run_after(f'printf "%s" "${PREFIX}ERROR_TYPE" > {stage.folder}/type')
    handler = stage.runner.connect()
    request_id = stage.next_invocation(handler)
    too_long = letter * 200_000
    document = json.dumps({"errorType": too_long[:20_000]}).encode()
    headers = {"Lambda-Runtime-Function-Error-Type": too_long.encode().decode("latin-1")}
    handler.exchange("POST", answer_path(request_id, "error"), document, headers)
    assert stage.runner.await_event("post-command-ended", request_id)["exitStatus"] == 0
    given = (stage.folder / "type").read_text(encoding="utf-8")
    assert len(given) > 20_000
    assert too_long.startswith(given)


def test_a_report_that_cannot_be_written_is_lost_and_nothing_else(start: Start) -> None:
    shut = "exec 2>&-; exec "
    runner = ["sh", "-c", f'{shut}{sys.executable} -m aws_lambda_post_runner "$@"', "sh"]
    running = start(runner=runner, COMMAND="exit 3")
    connection = running.connect()
    connection.answer("any")
    running.await_event("post-command-ended")
    connection.answer("other")
    running.await_event("post-command-ended", nth=2)


def test_an_unforeseen_error_is_logged_with_its_traceback_and_the_next_poll_goes_on(
    start: Start, stage: Stage
) -> None:
    runner = start(runner=[sys.executable, "-c", RUNNABLE_AND_FAULTY], COMMAND=":")
    handler = runner.connect()
    for _ in range(2):
        request_id = stage.runtime_api.invoke()
        assert handler.poll() == request_id
        assert handler.answer(request_id).status == 202
        runner.await_event("post-command-ended", request_id)
    runner.end_handler(5)
    assert runner.wait() == 5
    assert "Traceback" in runner.said()
    assert "RuntimeError: nobody foresaw this" in runner.said()


def test_descriptors_that_run_out_while_a_command_runs_are_its_failure_at_most(
    prepare: Prepare, tmp_path: Path
) -> None:
    """It is judged, stopped and reported with none left; afterwards all is as before."""
    stage = prepare(TIMEOUT="1s", GRACE="100ms")
    stage.run_after(f"trap '' TERM; touch {tmp_path}/runs; while :; do sleep 0.05; done")
    handler = stage.runner.connect()
    pid = stage.runner.process.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    request_id = stage.next_invocation(handler)
    handler.answer(request_id)
    wait_until((tmp_path / "runs").exists, "the command")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, before[1]))
    assert stage.runner.await_event("post-command-ended", request_id)["signal"] == signal.SIGKILL
    resource.prlimit(pid, resource.RLIMIT_NOFILE, before)
    assert stage.next_invocation(handler)
