"""`python -m aws_lambda_post_runner.layer`: builds the layers' zips and the bare executables.

For each processor the folder gets aws-lambda-post-runner-VERSION-PROCESSOR, an executable that starts from a snapshot
of CPython with all that the run path needs, and the same in a .zip, for any managed runtime: with `entry.sh` beside it,
a manifest in a private folder, and the helpers for handlers.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import aws_lambda_post_runner

from . import snapshot, zips
from .linking import link, write_tables
from .modules import PACKAGE, CompilationError, compiled, run_path
from .parts import PYPI, Debian, Part, PartMissingError, from_pypi, linker

LAYERS = {"x86_64": "amd64", "arm64": "arm64"}
"""What Lambda calls the processors, and what Debian does."""

_SOURCES = Path(__file__).parent


def main() -> None:
    """Build the layers that the arguments name, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m aws_lambda_post_runner.layer", description="Build the Lambda layers."
    )
    parser.add_argument(
        "layers", nargs="*", metavar="LAYER", help=f"of {', '.join(LAYERS)}; all if none is named"
    )
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder for what is built")
    parser.add_argument(
        "--fetched", type=Path, help="folder to keep Debian's packages in, for the next build"
    )
    arguments = parser.parse_args()
    unknown = [layer for layer in arguments.layers if layer not in LAYERS]
    if unknown:
        parser.error(f"there is no layer {unknown[0]!r}; there are {', '.join(LAYERS)}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        try:
            debian = Debian(arguments.fetched or Path(temporary))
            for layer in arguments.layers or LAYERS:
                for path in build(layer, debian, arguments.out):
                    print(path)
        except (PartMissingError, CompilationError, snapshot.SnapshotError) as error:
            sys.exit(f"{parser.prog}: {error}")


def build(layer: str, debian: Debian, out: Path) -> tuple[Path, Path]:
    """Build one layer in the folder `out`; return the paths of its zip and of the bare executable."""
    identity = zips.Build(layer, aws_lambda_post_runner.__version__, _commit())
    bare = (out / f"aws-lambda-post-runner-{identity.version}-{layer}").resolve()
    archive = bare.with_name(f"{bare.name}.zip")
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        content, site = work / "content", work / "site"
        (content / zips.PRIVATE).mkdir(parents=True)
        executable = content / "aws-lambda-post-runner"
        parts = _stage(site, identity)
        parts += _link(debian, LAYERS[layer], site, work, executable)
        emulator = debian.emulator(LAYERS[layer], work / "emulator")
        seal = snapshot.attach(executable, LAYERS[layer], emulator, identity.hash_seed, work)
        shutil.copy(_SOURCES / "entry.sh", content)
        _add_helpers(content)
        for each in (content / "entry.sh", executable):
            each.chmod(0o755)
        zips.describe(identity, parts, seal, content)
        zips.write(content, archive)
        shutil.copy(executable, bare)
    return archive, bare


def _commit() -> str:
    """Name the commit that is built, with a word if files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=_SOURCES, check=False, capture_output=True, text=True,
    )  # fmt: skip
    return described.stdout.strip() or "unknown"


def _stage(site: Path, identity: zips.Build) -> list[Part]:
    """Put our modules of the run path, told which build they are, and all that they need into the folder `site`."""
    package = site / PACKAGE
    package.mkdir(parents=True)
    for path in run_path(_SOURCES.parent):
        target = package / path.relative_to(_SOURCES.parent)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    shutil.copy(_SOURCES / "start.py", package)
    shutil.copytree(_SOURCES / "absent", site, dirs_exist_ok=True)
    _name_build(package / "build.py", identity)
    return [from_pypi(name, site) for name in PYPI]


def _name_build(source: Path, identity: zips.Build) -> None:
    """Replace, in our module that tells which build it is, what it says."""
    before = 'BUILD = "source"\n'
    after = f'BUILD = "layer {identity.layer}, commit {identity.commit}"\n'
    source.write_text(source.read_text(encoding="utf-8").replace(before, after), encoding="utf-8")


def _link(debian: Debian, architecture: str, site: Path, work: Path, target: Path) -> list[Part]:
    """Make the executable for one of Debian's architectures; return what it is made of beside the modules."""
    host, linked, tables = work / "host", work / "linked", work / "tables"
    for folder in (host, linked, tables):
        folder.mkdir()
    debian.cpython(debian.architecture, host)
    write_tables(compiled(debian.interpreter(host), site, work), tables)
    part = debian.cpython(architecture, linked)
    link(architecture, tables, linked, target)
    return [part, linker()]


def _add_helpers(content: Path) -> None:
    """Add what handlers import to ask for post work: from /opt/python in Python, from /opt/nodejs in Node."""
    left_out = shutil.ignore_patterns("__pycache__", "README.md")
    helper = _SOURCES.parent.parent / "post_runner"
    shutil.copytree(helper, content / "python" / "post_runner", ignore=left_out)
    shutil.copytree(_SOURCES / "nodejs" / "post-runner", content / "nodejs" / "node_modules" / "post-runner")


if __name__ == "__main__":
    main()
