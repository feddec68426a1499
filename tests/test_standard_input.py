"""What a command reads is a file of the work that was handed over, wherever there is room for one."""

import os
import subprocess

import pytest

from aws_lambda_post_runner.post.stdin import standard_input


def test_where_the_system_has_no_files_in_memory_the_work_is_in_a_temporary_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As on macOS."""
    monkeypatch.delattr(os, "memfd_create")
    with standard_input([b"one\n", b"two\n"]) as file:
        assert subprocess.run(["cat"], stdin=file, stdout=subprocess.PIPE, check=True).stdout == b"one\ntwo\n"
