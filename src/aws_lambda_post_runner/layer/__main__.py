"""`python -m aws_lambda_post_runner.layer`: builds the layers' zips.

aws-lambda-post-runner-VERSION-x86_64.zip and -arm64.zip hold one executable, CPython with all that the run path needs
frozen in, for any managed runtime; -python.zip holds modules and their bytecode, for the Python runtimes. Each has
`aws-lambda-post-runner` and `entry.sh` at its root, a manifest in a private folder, and the helpers for handlers.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import aws_lambda_post_runner

from . import zips
from .linking import link, write_tables
from .modules import PACKAGE, CompilationError, compiled, needed, run_path
from .parts import PYPI, Debian, Part, PartMissingError, from_pypi, linker

SELF_CONTAINED = {"x86_64": "amd64", "arm64": "arm64"}
"""What Lambda calls the processors, and what Debian does."""

LAYERS = (*SELF_CONTAINED, "python")

VERSIONS = tuple(f"3.{minor}" for minor in range(11, 16))
"""Pythons that bytecode is compiled for, if they are found here; others of Lambda's compile at each cold start."""

_SOURCES = Path(__file__).parent


def main() -> None:
    """Build the layers that the arguments name, or all."""
    parser = argparse.ArgumentParser(
        prog="python -m aws_lambda_post_runner.layer", description="Build the Lambda layers."
    )
    parser.add_argument(
        "layers", nargs="*", metavar="LAYER", help=f"of {', '.join(LAYERS)}; all if none is named"
    )
    parser.add_argument("--out", type=Path, default=Path("dist"), help="folder for the zips")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    try:
        for layer in arguments.layers or LAYERS:
            print(build(layer, arguments.out))
    except (PartMissingError, CompilationError) as error:
        sys.exit(f"{parser.prog}: {error}")


def build(layer: str, out: Path) -> Path:
    """Build one layer's zip in the folder `out`; return its path."""
    identity = zips.Build(layer, aws_lambda_post_runner.__version__, _commit())
    target = (out / f"aws-lambda-post-runner-{identity.version}-{layer}.zip").resolve()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        content, site = work / "content", work / "site"
        (content / zips.PRIVATE).mkdir(parents=True)
        parts = _stage(site, identity)
        bytecode: list[str] = []
        if layer in SELF_CONTAINED:
            parts += _self_contained(SELF_CONTAINED[layer], site, work, content / "aws-lambda-post-runner")
        else:
            bytecode = _python(site, work, content)
        shutil.copy(_SOURCES / "entry.sh", content)
        _add_helpers(content)
        for executable in ("entry.sh", "aws-lambda-post-runner"):
            (content / executable).chmod(0o755)
        zips.describe(identity, parts, bytecode, content)
        zips.write(content, target)
    return target


def _commit() -> str:
    """Name the commit that is built, with a word if files differ from it."""
    described = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--exclude=*"],
        cwd=_SOURCES, check=False, capture_output=True, text=True,
    )  # fmt: skip
    return described.stdout.strip() or "unknown"


def _stage(site: Path, identity: zips.Build) -> list[Part]:
    """Put our modules of the run path, told which build they are, and the packages that they need into `site`."""
    package = site / PACKAGE
    package.mkdir(parents=True)
    for path in run_path(_SOURCES.parent):
        target = package / path.relative_to(_SOURCES.parent)
        target.parent.mkdir(exist_ok=True)
        shutil.copy(path, target)
    line = f'BUILD = "layer {identity.layer}, commit {identity.commit}"\n'
    (package / "build.py").write_text(line, encoding="utf-8")
    return [from_pypi(name, site) for name in PYPI]


def _self_contained(architecture: str, site: Path, work: Path, target: Path) -> list[Part]:
    """Make the executable for one of Debian's architectures; return what it is made of beside the modules."""
    debian = Debian(work / "apt")
    host, linked, tables = work / "host", work / "linked", work / "tables"
    for folder in (host, linked, tables):
        folder.mkdir()
    debian.cpython(debian.architecture, host)
    python = debian.interpreter(host)
    remembered = site / PACKAGE / "remembered.py"
    listing = needed(python, site, remembered)
    for path in (remembered, Path(shutil.copy(_SOURCES / "start.py", site / PACKAGE))):
        listing += f"{PACKAGE}.{path.stem}\t{path}\t\n"
    write_tables(listing, compiled(python, listing, work), tables)
    part = debian.cpython(architecture, linked)
    link(architecture, tables, linked, target)
    return [part, linker()]


def _python(site: Path, work: Path, content: Path) -> list[str]:
    """Lay out the layer for Python runtimes; return the versions that it has bytecode for."""
    private = content / zips.PRIVATE
    library = private / "lib"
    site.rename(library)
    shutil.copy(_SOURCES / "python_launcher.py", content / "aws-lambda-post-runner")
    versions: list[str] = []
    used: set[str] = set()
    for version in VERSIONS:
        python = shutil.which(f"python{version}")
        if python and subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0:
            # The standard library is the runtime's own, and may be of another patch release than the one here.
            listing = [
                line
                for line in needed(Path(python), library, work / "remembered").splitlines()
                if f"\t{library}/" in line
            ]
            target = private / f"cpython-{version.replace('.', '')}.bin"
            compiled(Path(python), "\n".join(listing), work).rename(target)
            versions.append(version)
            used.update(line.split("\t")[1] for line in listing)
    if not versions:
        raise PartMissingError(f"none of python{', python'.join(VERSIONS)} is on the PATH")
    for path in library.rglob("*.py"):
        if str(path) not in used:
            path.unlink()
    return versions


def _add_helpers(content: Path) -> None:
    """Add what handlers import to ask for post work: from /opt/python in Python, from /opt/nodejs in Node."""
    left_out = shutil.ignore_patterns("__pycache__", "README.md")
    helper = _SOURCES.parent.parent / "post_runner"
    shutil.copytree(helper, content / "python" / "post_runner", ignore=left_out)
    shutil.copytree(_SOURCES / "nodejs" / "post-runner", content / "nodejs" / "node_modules" / "post-runner")


if __name__ == "__main__":
    main()
