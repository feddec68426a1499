"""A bench refuses what it could not measure, or would measure something else for, before it has measured anything."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parent.parent / "bench"

WRONG = {
    "a peer without a command": ("latency.py --peer original", "'original' is not NAME=COMMAND"),
    "so in another script": ("cold_start.py --peer original", "'original' is not NAME=COMMAND"),
    "a peer that is not there": ("latency.py --peer x=/no/such", "'/no/such' is no program"),
    "no such program of ours": ("latency.py --ours /no/such", "'/no/such' is no program"),
    "nor of before": ("latency.py --against /no/such", "'/no/such' is no program"),
    "a quote left open": ("latency.py --ours 'env", "No closing quotation"),
    "nothing": ("latency.py --ours=", "'' is no command: it is empty"),
    "no blocks": ("latency.py --blocks 0", "'0' is not 1 or more"),
    "nor here": ("post_command.py --blocks x", "'x' is not 1 or more"),
    "no rounds": ("cold_start.py --rounds 0", "'0' is not 1 or more"),
    "no layers": ("cold_start.py --layers /no/such", "/no/such has 0 executables for"),
    "no package": ("in_production.py --before /no/such", "/no/such has no aws_lambda_post_runner"),
    "no place for figures": ("latency.py --json /proc/no/such", "'/proc/no/such' cannot be written"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_measured_is_refused_with_the_value_and_what_is_wrong(name: str) -> None:
    command, said = WRONG[name]
    script, *arguments = command.split(" ")
    ended = subprocess.run(
        [sys.executable, str(BENCH / script), *arguments],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.stderr.splitlines()[-1].startswith(f"{script}: error: ")
    assert said in ended.stderr
    assert (ended.returncode, ended.stdout) == (2, "")


@pytest.mark.skipif(shutil.which("cc") is None, reason="the floor is a relay in C")
def test_the_figures_are_said_to_be_those_of_the_command_that_was_measured(tmp_path: Path) -> None:
    ended = subprocess.run(
        [
            *(sys.executable, str(BENCH / "latency.py"), "--quick", "--only", "1 KB"),
            *("--ours", f"env {sys.executable} -m aws_lambda_post_runner", "--json", str(tmp_path / "new" / "figures")),
        ],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    first = ended.stdout.splitlines()[0]
    assert first.endswith(f"in use; our proxy by env {sys.executable} -m aws_lambda_post_runner")
