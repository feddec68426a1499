"""The gate compares with the commit before, is shut by what is too much three times, and by nothing else."""

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCH = Path(__file__).parent.parent / "bench"


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The script, as a module."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module("gate")


def git(folder: Path, *arguments: str) -> str:
    named = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    done = subprocess.run(["git", *named, *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(folder: Path, version: str) -> str:
    """Commit a package that tells its version, and nothing else; return the commit."""
    package = folder / "src" / "aws_lambda_post_runner"
    package.mkdir(parents=True, exist_ok=True)
    (package / "__init__.py").write_text("")
    (package / "__main__.py").write_text(version)
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "a commit")
    return git(folder, "rev-parse", "--short", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q")
    return folder


def test_what_is_committed_is_compared_with_the_commit_before_and_what_is_not_with_the_last(
    gate: Any, repository: Path, tmp_path: Path
) -> None:
    first, last = commit(repository, "print(1)"), commit(repository, "print(2)")
    assert gate.unpack_base(repository, None, tmp_path / "one") == first
    (repository / "src" / "aws_lambda_post_runner" / "__main__.py").write_text("print(3)")
    assert gate.unpack_base(repository, None, tmp_path / "two") == last
    assert (tmp_path / "two" / "src" / "aws_lambda_post_runner" / "__main__.py").read_text() == "print(2)"


def test_a_clone_without_history_is_let_through_with_a_word(repository: Path, tmp_path: Path) -> None:
    commit(repository, "print(1)")
    commit(repository, "print(2)")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", "--depth", "1", repository.as_uri(), str(clone))
    for place in (clone, tmp_path):
        done = subprocess.run(
            [sys.executable, str(BENCH / "gate.py"), "--repository", str(place)],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert "nothing to compare with, so it is open: there is no commit HEAD^ here" in done.stdout


def test_a_commit_that_was_asked_for_and_is_not_there_shuts_the_gate(repository: Path) -> None:
    commit(repository, "print(1)")
    done = subprocess.run(
        [sys.executable, str(BENCH / "gate.py"), "--repository", str(repository), "--base", "v9.9"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1
    assert "gate: shut: there is no commit v9.9 here" in done.stdout


def test_a_commit_before_that_does_not_start_is_no_measure(
    gate: Any, repository: Path, tmp_path: Path
) -> None:
    commit(repository, "raise SystemExit('broken')")
    commit(repository, "print(2)")
    with pytest.raises(gate.IncomparableError, match="does not start here: broken"):
        gate.unpack_base(repository, None, tmp_path / "before")


@pytest.mark.parametrize(
    ("values", "rounds"),
    [
        ([(1.0, 1.14)], 1),
        ([(1.2, 1.0), (1.1,)], 2),
        ([(1.2, 1.3), (1.0, 1.3), (1.0,)], 3),
        ([(1.0, 1.3), (1.3,), (1.2,)], 3),
    ],
)
def test_what_was_too_much_is_measured_again_alone_and_three_times_at_most(
    gate: Any, monkeypatch: pytest.MonkeyPatch, values: list[tuple[float, ...]], rounds: int
) -> None:
    left = [value for each in values for value in each]

    def measured(_: object) -> Any:
        return gate.Ratio("start", 1.0, left.pop(0))

    monkeypatch.setattr(gate, "MEASURES", (measured, measured))
    seen = list(gate.tries([]))
    assert [tuple(ratio.value for ratio in each) for each in seen] == values
    assert len(seen) == rounds


def test_the_ratio_is_that_of_what_is_added_to_the_same_handler_without_us(gate: Any) -> None:
    disturbed = [9000.0, 9000.0]
    turns = [
        [100.0, 100.0, 100.0, *disturbed],
        [200.0, 200.0, 200.0, *disturbed],
        [220.0, 220.0, 220.0, *disturbed],
    ]
    ratio = gate._ratio("invocation", turns)
    assert (ratio.before, ratio.now) == (100.0, 120.0)
    assert ratio.is_too_much
    assert gate.told(ratio) == "invocation: adds 0.1 µs, before 0.1 µs: 1.200 times as much, too much"
