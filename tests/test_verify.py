"""`verify` tells what a file is without running it, and what speaks against it."""

import json
import os
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from aws_lambda_post_runner import __version__
from aws_lambda_post_runner.cli.app import app
from aws_lambda_post_runner.dev import artefact

from .made_artefacts import COMMIT, PRODUCT, SEAL, executable, layer, manifest, whole_executable


def verify(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["verify", *map(str, arguments)])


def sums(folder: Path, *files: Path) -> Path:
    listed = folder / "SHA256SUMS"
    listed.write_text("".join(f"{sha256(each.read_bytes()).hexdigest()}  {each.name}\n" for each in files))
    return listed


def test_a_layer_tells_its_version_commit_processor_parts_and_files(tmp_path: Path) -> None:
    file = layer(tmp_path / "some.zip", processor="arm64")
    said = verify(file)
    assert said.exit_code == 0
    for word in (
        __version__,
        COMMIT,
        "arm64",
        SEAL.hex(),
        "trio 0.35.0 (MIT OR Apache-2.0)",
        "files        4",
    ):
        assert word in said.output
    assert "This is what the file says of itself." in said.output
    told = json.loads(verify(file, "--json").output)
    assert (told["version"], told["processor"], told["problems"]) == (__version__, "arm64", [])
    digests = {each["name"]: each["sha256"] for each in told["contents"]}
    assert digests[PRODUCT] == sha256(executable("arm64")).hexdigest()


def test_an_executable_tells_its_commit_processor_and_snapshot_and_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / f"{PRODUCT}-{__version__}-x86_64"
    file.write_bytes(executable())
    file.chmod(0o755)  # run, it would fail: it is only a header
    said = verify(file)
    assert said.exit_code == 0
    for word in (f"version      {__version__}", COMMIT, "x86_64", SEAL.hex()):
        assert word in said.output
    renamed = file.rename(tmp_path / "bootstrap")
    assert "not told by an executable" in verify(renamed).output


def test_a_file_that_is_in_the_list_of_checksums_is_named_whatever_it_is_called_here(tmp_path: Path) -> None:
    file = layer(tmp_path / "published.zip")
    listed = sums(tmp_path, file)
    said = verify(file.rename(tmp_path / "layer.zip"), "--checksums", listed)
    assert said.exit_code == 0
    assert "it is published.zip of the list" in said.output


def test_a_file_of_the_right_name_with_other_bytes_is_not_the_published_one(tmp_path: Path) -> None:
    file = layer(tmp_path / "published.zip")
    listed = sums(tmp_path, file)
    layer(file, {"entry.sh": "#!/bin/sh\ncurl example.com\n"})
    said = verify(file, "--checksums", listed)
    assert said.exit_code == 1
    assert "it is not the file that was published" in said.output
    assert json.loads(verify(file, "--checksums", listed, "--json").output)["listed_as"] == ""


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({PRODUCT: executable(commit="fedcba9")}, f"its executable is fedcba9, but the manifest says {COMMIT}"),
        ({PRODUCT: executable("arm64")}, "its executable is arm64, but the manifest says x86_64"),
        ({PRODUCT: executable(seal=bytes(16))}, "the snapshot of its executable is missing"),
        ({PRODUCT: executable().replace(b"layer x86_64", b"layer arm64")}, "but its code is for x86_64"),
        ({"python/boto3/__init__.py": ""}, "python/boto3/__init__.py is not ours"),
        ({f"{PRODUCT}-more": ""}, f"{PRODUCT}-more is not ours"),
    ],
)  # fmt: skip
def test_a_layer_with_anothers_file_or_anothers_executable_in_it_is_not_whole(
    files: dict[str, bytes | str], said: str, tmp_path: Path
) -> None:
    found = verify(layer(tmp_path / "a.zip", files))
    assert found.exit_code == 1
    assert said in found.output


def test_a_layer_whose_executable_cannot_be_executed_is_not_whole(tmp_path: Path) -> None:
    file = layer(tmp_path / "a.zip")
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in content.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    assert "entry.sh cannot be executed" in verify(file).output


def test_the_signature_of_aws_signer_is_told(tmp_path: Path) -> None:
    file = layer(tmp_path / "a.zip", {"META-INF/aws_signer_signature_v1.0.SF": "signed"})
    said = verify(file)
    assert said.exit_code == 0
    assert "AWS Signer's, which Lambda checks" in said.output


def test_an_executable_is_whole_with_all_of_its_snapshot(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(whole_executable())
    assert verify(file).exit_code == 0


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content[:200],
        lambda content: content + b"more",
        lambda content: content.replace(b"heap", b"heal"),
        lambda content: content.replace(b"layer", b"later", 1) + b"layer x86_64, commit 0123abc",
    ],
)
def test_an_executable_that_is_cut_short_or_changed_is_not_whole(
    damage: Callable[[bytes], bytes], tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(damage(whole_executable()))
    found = verify(file)
    assert found.exit_code == 1
    assert "its snapshot is not whole" in found.output
    assert (
        "its snapshot is not whole" in verify(layer(tmp_path / "a.zip", {PRODUCT: file.read_bytes()})).output
    )


@pytest.mark.parametrize(
    "name",
    ["python/post_runner/../../extensions/other", f"{PRODUCT}.d/../bootstrap", "python/post_runner/.."],
)
def test_a_layers_file_that_leaves_our_folders_is_not_ours(name: str, tmp_path: Path) -> None:
    found = verify(layer(tmp_path / "a.zip", {name: ""}))
    assert found.exit_code == 1
    assert f"{name} is not ours" in found.output


def test_a_layer_with_two_files_of_one_name_is_not_whole(tmp_path: Path) -> None:
    file = layer(tmp_path / "a.zip")
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate name"):
        archive.writestr("entry.sh", "#!/bin/sh\ncurl example.com\n")
    found = verify(file)
    assert found.exit_code == 1
    assert "entry.sh is in it more than once" in found.output


def test_a_layer_with_a_link_is_not_whole(tmp_path: Path) -> None:
    file = layer(tmp_path / "a.zip")
    link = zipfile.ZipInfo("python/post_runner/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    assert "python/post_runner/link is a link" in verify(file).output


@pytest.mark.parametrize(
    "said",
    [
        {"parts": "some"},
        {"parts": None},
        {"parts": [{"name": "trio"}]},
        {"parts": [1]},
        {"version": ["0.2.0"]},
    ],
)
def test_a_manifest_with_values_of_other_types_cannot_be_read(said: dict[str, Any], tmp_path: Path) -> None:
    found = verify(layer(tmp_path / "a.zip", {f"{PRODUCT}.d/manifest.json": manifest(**said)}))
    assert found.exit_code == 1
    assert "manifest.json cannot be read" in found.output
    assert found.output.count(os.linesep) == 1


def test_a_list_of_checksums_that_is_not_there_is_what_is_named(tmp_path: Path) -> None:
    found = verify(layer(tmp_path / "a.zip"), "--checksums", tmp_path / "SUMS")
    assert found.output.startswith(f"{tmp_path / 'SUMS'}: ")


def other_zip(path: Path, files: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"#!/bin/sh\n", "it is neither a zip nor an executable of Linux"),
        (Path("/bin/true").read_bytes(), "nothing in it says that we built it"),
        ({"python/app.py": ""}, f"has no {PRODUCT}"),
        ({PRODUCT: ""}, f"has no {PRODUCT}.d/manifest.json"),
        ({PRODUCT: "", f"{PRODUCT}.d/manifest.json": "[]"}, "manifest.json cannot be read"),
        ({PRODUCT: "", f"{PRODUCT}.d/manifest.json": "{}"}, "manifest.json cannot be read: 'name'"),
        ({PRODUCT: "", f"{PRODUCT}.d/manifest.json": manifest(name="other")}, "manifest.json is that of 'other'"),
        ({PRODUCT: "", f"{PRODUCT}.d/manifest.json": manifest()}, "nothing in it says that we built it"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_ours_is_told_apart_with_what_it_lacks(
    content: bytes | dict[str, str], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    if isinstance(content, bytes):
        file.write_bytes(content)
    else:
        other_zip(file, content)
    found = verify(file)
    assert found.exit_code == 1
    assert "is not one of ours: " in found.output
    assert said in found.output


def test_a_zip_that_would_unpack_to_more_than_lambda_takes_is_not_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artefact, "_LARGEST", 1 << 20)  # 250 MB take a second to write
    file = layer(tmp_path / "a.zip", {"python/post_runner/zeros": bytes(1 << 20)})
    assert "more than the 1 MB that Lambda takes" in verify(file).output


def test_a_damaged_zip_is_said_to_be_damaged(tmp_path: Path) -> None:
    file = layer(tmp_path / "a.zip")
    content = bytearray(file.read_bytes())
    content[content.index(b"#!/bin/sh")] ^= 0xFF
    file.write_bytes(content)
    found = verify(file)
    assert found.exit_code == 1
    assert "it is a zip that cannot be read: Bad CRC-32" in found.output


def test_a_list_that_is_not_there_is_what_is_named(tmp_path: Path) -> None:
    found = verify(layer(tmp_path / "a.zip"), "--checksums", tmp_path / "SHA256SUMS")
    assert found.output == f"{tmp_path}/SHA256SUMS: No such file or directory\n"


@pytest.mark.parametrize(
    ("name", "said"), [("nowhere.zip", "No such file"), ("a.zip", "is not a checksum, two spaces and a name")]
)
def test_what_cannot_be_read_is_said_in_one_line(name: str, said: str, tmp_path: Path) -> None:
    layer(tmp_path / "a.zip")
    listed = tmp_path / "SHA256SUMS"
    listed.write_text("no checksum\n")
    found = verify(tmp_path / name, "--checksums", listed)
    assert found.exit_code == 1
    assert said in found.output
    assert "Errno" not in found.output
    assert found.output.count(os.linesep) == 1
