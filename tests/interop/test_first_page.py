"""The first page's commands and handlers, as they are printed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.test_first_page import ROOT, blocks

from .obtain import NEWEST_NODE, node_in

PATIENCE_S = 500
"""An installation asks the registry, and compiles what it has brought."""

pytestmark = pytest.mark.timeout(2 * PATIENCE_S)

INSTALL = next(block for block in blocks("sh") if "pip install -q ." in block)
RUNS = next(block for block in blocks("sh") if "dev --mode WaitUntil" in block).splitlines()


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a clone has, with the page's install command run in it and the page's handlers beside."""
    clone = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.split("\0"):
        if name.startswith(("src/", "pyproject", "README", "LICENSE")) and (ROOT / name).exists():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, clone / name)
    run_as_printed(INSTALL, clone, {})
    (clone / "app.py").write_text(blocks("python")[0], encoding="utf-8")
    (clone / "index.js").write_text(blocks("js")[0], encoding="utf-8")
    return clone


def run_as_printed(command: str, folder: Path, environ: Mapping[str, str]) -> str:
    """Run a line of the page in a shell in this folder, and return what it prints. Fails where the line fails."""
    found_first = f"{folder}/.venv/bin{os.pathsep}{Path(sys.base_prefix) / 'bin'}{os.pathsep}"
    path = environ.get("PATH", "") + found_first + os.environ["PATH"]
    ended = subprocess.run(  # noqa: S602 - the page's lines are for a shell
        command,
        shell=True,
        executable="/bin/bash",
        cwd=folder,
        env={**os.environ, **environ, "PATH": path},
        timeout=PATIENCE_S,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


@pytest.mark.parametrize("line", RUNS, ids=["python", "node"])
def test_a_handler_of_the_first_page_answers_while_its_work_goes_on(
    line: str, clone: Path, parts: Path
) -> None:
    command = line.replace(" dev ", " dev --json ").partition("#")[0]
    node = node_in(parts, NEWEST_NODE)
    printed = run_as_printed(command, clone, {"PATH": f"{node.parent}{os.pathsep}"})
    events = [json.loads(each) for each in printed.splitlines() if each.startswith("{")]
    kinds = [event["event"] for event in events]
    assert kinds.index("answered") < kinds.index("waits-ended"), printed


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint comes with the session `interop`")
def test_the_first_pages_image_file_has_nothing_that_hadolint_warns_of(tmp_path: Path) -> None:
    file = tmp_path / "Dockerfile"
    file.write_text(blocks("dockerfile")[0], encoding="utf-8")
    linted = subprocess.run(["hadolint", str(file)], check=False, capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout
