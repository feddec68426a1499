"""What the layers' builder promises that can be seen without building one."""

import os
import zipfile
from pathlib import Path

import aws_lambda_post_runner
from aws_lambda_post_runner.layer import zips
from aws_lambda_post_runner.layer.modules import module_name, run_path
from aws_lambda_post_runner.layer.parts import Part, from_pypi

PACKAGE = Path(aws_lambda_post_runner.__file__).parent


def test_the_run_path_has_the_core_and_nothing_that_people_type() -> None:
    modules = {module_name(path, PACKAGE).removeprefix(f"{PACKAGE.name}.") for path in run_path(PACKAGE)}
    assert {
        PACKAGE.name,
        "entry",
        "drop_in",
        "supervisor",
        "proxy",
        "proxy.relay",
        "proxy.wire",
    } <= modules
    assert not [each for each in modules if each.partition(".")[0] in ("__main__", "cli", "pytest_plugin")]


def test_a_zip_is_the_same_bytes_whenever_and_in_whatever_order_its_files_were_written(
    tmp_path: Path,
) -> None:
    for number, names in enumerate([["b", "a/c", "a/b"], ["a/b", "b", "a/c"]]):
        for seconds, name in enumerate(names):
            path = tmp_path / str(number) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(name, encoding="utf-8")
            os.utime(path, (1_700_000_000 + seconds, 1_700_000_000 + number))
        zips.write(tmp_path / str(number), tmp_path / f"{number}.zip")
    assert (tmp_path / "0.zip").read_bytes() == (tmp_path / "1.zip").read_bytes()


def test_a_zip_tells_unix_which_files_can_be_executed(tmp_path: Path) -> None:
    folder = tmp_path / "content"
    folder.mkdir()
    (folder / "plain").touch(0o600)
    (folder / "executable").touch(0o700)
    zips.write(folder, tmp_path / "layer.zip")
    with zipfile.ZipFile(tmp_path / "layer.zip") as archive:
        modes = {entry.filename: entry.external_attr >> 16 for entry in archive.infolist()}
    assert modes == {"executable": 0o100755, "plain": 0o100644}


def test_the_manifest_names_snapshot_seed_commit_and_each_part_and_brings_its_licence(tmp_path: Path) -> None:
    text = tmp_path / "LICENSE.txt"
    text.write_text("as you like", encoding="utf-8")
    part = Part("CPython (somebody's)", "3", "PSF-2.0", (text,))
    build = zips.Build("x86_64", "1.2", "abc")
    zips.describe(build, [part], "f00d", tmp_path / "content")
    private = tmp_path / "content" / zips.PRIVATE
    manifest = (private / "manifest.json").read_text(encoding="utf-8")
    for said in ('"1.2"', '"abc"', '"x86_64"', '"f00d"', str(build.hash_seed), "somebody's", '"PSF-2.0"'):
        assert said in manifest
    assert (private / "licences" / "CPython-LICENSE.txt").read_text(encoding="utf-8") == "as you like"


def test_a_package_is_taken_as_it_is_installed_with_its_licence(tmp_path: Path) -> None:
    part = from_pypi("h11", tmp_path)
    assert part.licence == "MIT"
    assert part.licence_texts
    assert (tmp_path / "h11" / "_connection.py").exists()
