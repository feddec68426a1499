"""What is put beside what was built: complete, valid, and the same each time."""

import importlib
import json
import shutil
import subprocess
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

import aws_lambda_post_runner
from aws_lambda_post_runner import __version__
from aws_lambda_post_runner.release.__main__ import main
from aws_lambda_post_runner.release.artefacts import (
    CHECKSUMS,
    PROVENANCE,
    ReleaseError,
    check_tag,
    read_release,
)
from aws_lambda_post_runner.release.bom import check_bill
from tests.made_artefacts import COMMIT, PRODUCT, executable, layer

ZIP = f"{PRODUCT}-{__version__}-x86_64.zip"


def parsed(content: Mapping[str, Any], module: str, name: str) -> Any:
    """Return a message of in-toto's schema; its parser raises for a field that the schema has not."""
    parser: Any = importlib.import_module("google.protobuf.json_format")  # neither of the two has types
    return parser.ParseDict(content, getattr(importlib.import_module(module), name)())


def test_every_file_of_a_release_has_a_checksum_that_sha256sum_finds_right(built: Path) -> None:
    assert main(["prepare", str(built)]) == 0
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict", CHECKSUMS], cwd=built, capture_output=True, text=True, check=True
    )
    others = {path.name for path in built.iterdir() if path.is_file()} - {CHECKSUMS}
    assert {line.removesuffix(": OK") for line in checked.stdout.splitlines()} == others


def test_each_zip_has_a_bill_of_materials_that_a_validator_takes_and_that_names_its_parts(
    built: Path,
) -> None:
    main(["prepare", str(built)])
    for path in built.glob("*.zip"):
        text = path.with_name(f"{path.name}.cdx.json").read_text(encoding="utf-8")
        assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
        bill = json.loads(text)
        assert bill["metadata"]["component"]["version"] == __version__
        [digest] = bill["metadata"]["component"]["hashes"]
        assert digest == {"alg": "SHA-256", "content": sha256(path.read_bytes()).hexdigest()}
        purls = {component["purl"] for component in bill["components"] if component["type"] == "library"}
        assert purls == {
            "pkg:pypi/trio@0.35.0",
            "pkg:pypi/ziglang@0.17.1",
            "pkg:deb/debian/libpython3.11@3.11.2-6%2Bdeb12u9",
        }
        files = {component["name"] for component in bill["components"] if component["type"] == "file"}
        assert "python/post_runner/__init__.py" in files


def test_a_bill_of_materials_that_is_not_of_the_schema_stops_the_release() -> None:
    with pytest.raises(ReleaseError, match=r"the bill of materials of a\.zip is not valid"):
        check_bill('{"bomFormat": "CycloneDX"}', "a.zip")


def test_the_provenance_is_a_statement_of_in_toto_about_every_file_that_was_built(built: Path) -> None:
    main(["prepare", str(built), "--repository", "https://example.com/ours"])
    content = json.loads((built / PROVENANCE).read_text(encoding="utf-8"))
    statement = parsed(content, "in_toto_attestation.v1.statement_pb2", "Statement")
    importlib.import_module("in_toto_attestation.v1.statement").Statement.copy_from_pb(statement).validate()
    parsed(content["predicate"], "in_toto_attestation.predicates.provenance.v1.provenance_pb2", "Provenance")
    assert {each["name"] for each in content["subject"]} == {path.name for path in read_release(built).built}
    [source] = [
        each for each in content["predicate"]["buildDefinition"]["resolvedDependencies"] if "uri" in each
    ]
    assert source["digest"] == {"gitCommit": COMMIT}


def test_a_release_that_is_prepared_again_elsewhere_has_the_same_bytes(
    built: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    again = tmp_path / "again"
    shutil.copytree(built, again)
    for folder in (built, again):
        assert main(["prepare", str(folder)]) == 0
    assert main(["compare", str(built), str(again)]) == 0
    (again / ZIP).write_bytes(b"other bytes")
    (again / CHECKSUMS).unlink()
    assert main(["compare", str(built), str(again)]) == 1
    said = capsys.readouterr().err
    assert f"{ZIP} has other bytes" in said
    assert f"{CHECKSUMS} is not in {again}" in said


def test_two_builds_of_nothing_are_not_the_same_release(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["compare", str(tmp_path / "empty"), str(tmp_path / "missing")]) == 1
    assert "neither" in capsys.readouterr().err


def test_the_images_folder_has_each_executable_below_dockers_name_for_the_processor(built: Path) -> None:
    main(["prepare", str(built)])
    for ours, dockers in (("x86_64", "amd64"), ("arm64", "arm64")):
        laid = built / "image" / dockers / PRODUCT
        assert laid.read_bytes() == executable(ours)
        assert laid.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / ZIP).unlink(), f"has no {ZIP}"),
        (lambda folder: (folder / ZIP).write_bytes(b"no zip"), "neither a zip nor an executable"),
        (
            lambda folder: (folder / ZIP.removesuffix(".zip")).write_bytes(executable(commit="fedcba9")),
            "of the commits 0123abc and fedcba9",
        ),
        (
            lambda folder: layer(folder / ZIP, {"python/boto3/__init__.py": ""}),
            "python/boto3/__init__.py is not ours",
        ),
        (
            lambda folder: shutil.copy(
                next(folder.glob("*.whl")), folder / f"aws_lambda_post_runner-{__version__}-x.whl"
            ),
            "has 2 files",
        ),
    ],
)
def test_what_is_missing_damaged_or_of_another_build_is_named_and_nothing_is_prepared(
    damage: object, said: str, built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert callable(damage)
    damage(built)
    assert main(["prepare", str(built)]) == 1
    assert said in capsys.readouterr().err
    assert not (built / CHECKSUMS).exists()


def test_files_of_another_commit_or_of_one_with_changes_are_refused(
    built: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prepare", str(built), "--commit", COMMIT + "0" * 33]) == 0
    assert main(["prepare", str(built), "--commit", "f" * 40]) == 1
    assert f"were built from {COMMIT}, not from ffff" in capsys.readouterr().err


def test_a_tag_that_is_not_the_versions_is_refused() -> None:
    check_tag(f"v{__version__}")
    with pytest.raises(ReleaseError, match=f"the version is {__version__}: it has to be v{__version__}"):
        check_tag("v99.0.0")


def test_the_package_for_node_can_be_published_and_has_the_version_of_all_the_rest() -> None:
    folder = Path(aws_lambda_post_runner.__file__).parent / "layer" / "nodejs" / "post-runner"
    package = json.loads((folder / "package.json").read_text(encoding="utf-8"))
    assert package["version"] == __version__
    assert not package.get("private")  # npm publishes no private package
