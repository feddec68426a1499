"""The workflow calls what there is, and gives nobody more than he needs."""

import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from aws_lambda_post_runner.release.__main__ import _parser
from aws_lambda_post_runner.release.regions import Partition, matrix, places

WORKFLOW = Path(__file__).parents[2] / ".github" / "workflows" / "release.yml"
TEXT = WORKFLOW.read_text(encoding="utf-8")
JOBS: dict[str, dict[str, Any]] = yaml.safe_load(TEXT)["jobs"]
CALLS = re.findall(r"python -m aws_lambda_post_runner\.release ((?:\\\n|[^\n)])+)", TEXT)
PUBLISHING = ("attest", "layers", "image", "pypi", "npm", "github")


def needed_by(job: str) -> set[str]:
    """All jobs that have to succeed before one begins."""
    needs = JOBS[job].get("needs", [])
    first = {needs} if isinstance(needs, str) else set(needs)
    return first.union(*(needed_by(each) for each in first))


@pytest.mark.parametrize("call", CALLS)
def test_each_step_that_the_workflow_takes_is_one_of_ours_with_its_options(call: str) -> None:
    words = [
        word for word in shlex.split(call.replace("\\\n", " ")) if not re.fullmatch(r"\$\{\w+\[@\]\}", word)
    ]
    assert _parser().parse_args(words).step


def test_the_workflow_takes_every_step() -> None:
    assert {call.split()[0] for call in CALLS} == {"tag", "prepare", "compare", "plan", "regions", "layers"}


@pytest.mark.parametrize("job", PUBLISHING)
def test_nothing_is_published_before_two_builds_were_compared_and_attested_and_only_from_a_tag(
    job: str,
) -> None:
    before = {job} | needed_by(job)
    assert {"build", "compare", "attest"} <= before
    assert JOBS["attest"]["if"] == "github.event_name == 'push' && github.ref_type == 'tag'"
    assert not [each for each in before - {"attest"} if "always()" in JOBS[each].get("if", "")]


def test_what_cannot_be_taken_back_comes_after_what_can() -> None:
    for job in ("pypi", "npm"):
        assert {"layers", "image"} <= needed_by(job)
    assert needed_by("github") == set(JOBS) - {"github"}


def test_what_is_published_was_tested_first() -> None:
    tested = {
        name for name, job in JOBS.items() if any("nox -s lint" in s.get("run", "") for s in job["steps"])
    }
    assert all(tested & needed_by(job) for job in PUBLISHING)


def test_the_layers_are_built_on_the_debian_whose_packages_they_are_made_of() -> None:
    [builder] = [
        job for job in JOBS.values() if any("nox -s layer" in s.get("run", "") for s in job["steps"])
    ]
    assert builder["container"].endswith(
        "-bookworm"
    )  # Debian 12; the runners' own Ubuntu has another CPython
    commands = [step.get("run", "") for step in builder["steps"]]
    # Git asks nothing of a folder that is another user's, as the checkout is in a container: no commit would be named.
    trusting = next(n for n, each in enumerate(commands) if "safe.directory" in each)
    assert trusting < next(n for n, each in enumerate(commands) if "nox -s layer" in each)


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("v1.2.3", {"npm": "--tag latest", "github": "--latest"}),
        ("v1.2.3rc1", {"npm": "--tag next", "github": "--prerelease"}),
        ("v1.2.3.dev4", {"npm": "--tag next", "github": "--prerelease"}),
    ],
)
@pytest.mark.parametrize("job", ["npm", "github"])
def test_a_version_for_trying_out_becomes_nobodys_latest(
    job: str, tag: str, said: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / "post-runner-1.tgz").touch()
    (tmp_path / "layers").mkdir()
    (tmp_path / "layers" / "a.jsonl").touch()
    for name in ("npm", "gh", "jq"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho {name} "$@" >&2\n')
        (tmp_path / name).chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", "-e", "-o", "pipefail", "-c", JOBS[job]["steps"][-1]["run"]],
        cwd=tmp_path, check=True, capture_output=True, text=True, timeout=30,
        env={"PATH": f"{tmp_path}:/usr/bin:/bin", "GITHUB_REF_NAME": tag, "GITHUB_REPOSITORY": "o/r"},
    )  # fmt: skip
    [publishing] = [line for line in done.stderr.splitlines() if re.match("npm publish|gh release", line)]
    assert set(re.findall(r"--tag \S+|--prerelease|--latest", publishing)) == {said[job]}


def test_no_job_has_a_secret_of_ours_and_each_says_what_it_may() -> None:
    assert "secrets." not in TEXT
    assert yaml.safe_load(TEXT)["permissions"] == {}
    assert all(job["permissions"] for job in JOBS.values())
    writing = {name for name, job in JOBS.items() if job["permissions"].get("contents") == "write"}
    assert writing == {"github"}


def test_the_jobs_for_the_regions_read_what_the_matrix_has() -> None:
    [job, *_] = matrix(places([Partition.AWS]))["include"]
    used = set(re.findall(r"matrix\.(\w+)", yaml.safe_dump(JOBS["layers"])))
    assert used == set(job)
