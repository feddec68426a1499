"""A release that was built, made up but for its form; and the packages that only its own session brings."""

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.made_artefacts import release_folder

NEEDED = ("boto3", "cyclonedx", "in_toto_attestation", "moto")
collect_ignore_glob = (
    [] if all(map(find_spec, NEEDED)) else ["test_*.py"]
)  # run by `nox -s release`, which has them


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A folder with all that a release has."""
    return release_folder(tmp_path / "dist")
