"""Get what the integrations in Node need: `python -m tests.integrations.obtain FOLDER`, after tests.interop.obtain.

Packages of npm, and what tests/integrations/apps/ becomes when Nitro and OpenNext build it; that takes two minutes.
What is in the folder already is left as it is, unless the applications or our own package have changed.
"""

import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import aws_lambda_post_runner
from tests.interop.obtain import NEWEST_NODE, node_in, run

HERE = Path(__file__).parent
APPS = HERE / "apps"
SLOW = HERE / "examples" / "slow.mjs"
PACKAGE = Path(aws_lambda_post_runner.__file__).parent / "layer" / "nodejs" / "post-runner"

PACKAGES = (
    "@vercel/functions@3",
    "esbuild@0.28",
    "express@5",
    "hono@4",
    "nitro@3",
    "nitropack@2",
    "serverless-http@4",
    "typescript@5",
)
NEXT_PACKAGES = ("@opennextjs/aws@4", "next@16", "react@19", "react-dom@19")


@dataclass(frozen=True)
class App:
    """An application that has to be built before Lambda can run it."""

    name: str
    source: str
    """Its folder in `apps`."""
    build: Sequence[str]
    function: str
    """The folder with what is deployed."""


BUILT = (
    App("nitro2", "nitro", ("node", "node_modules/nitropack/dist/cli/index.mjs", "build"), ".output/server"),
    App("nitro3", "nitro", ("node", "node_modules/nitro/dist/cli/index.mjs", "build"), ".output/server"),
    App(
        "next",
        "next",
        ("node", "node_modules/@opennextjs/aws/dist/index.js", "build"),
        ".open-next/server-functions/default",
    ),
)


def packages_in(folder: Path) -> Path:
    """Where the packages are that handlers require."""
    return folder / "integrations" / "node_modules"


def function_in(folder: Path, app: App) -> Path:
    """Where the built application is: what Lambda has as /var/task."""
    return folder / "integrations" / app.name / app.function


def install(folder: Path, environment: dict[str, str], packages: Sequence[str]) -> None:
    """Install packages of npm in a folder of its own; once, until others are wanted."""
    wanted = "\n".join(packages)
    note = folder / "node_modules" / "obtained.txt"
    if note.exists() and note.read_text() == wanted:
        return
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "package.json").exists():
        (folder / "package.json").write_text('{"private": true}\n')
    quiet = ("--no-audit", "--no-fund", "--loglevel=error")
    run("npm", "install", *quiet, *packages, folder=folder, environment=environment)
    note.write_text(wanted)


def build(folder: Path, environment: dict[str, str], app: App) -> None:
    """Build an application beside the packages that it needs; again, when it or our package has changed."""
    target = folder / app.name
    note = target / "built.txt"
    source = APPS / app.source
    wanted = fingerprint(source, PACKAGE, SLOW)
    if note.exists() and note.read_text() == wanted:
        return
    note.unlink(missing_ok=True)
    shutil.copytree(source, target, dirs_exist_ok=True)
    shutil.copy(SLOW, target)
    modules = target / "node_modules"
    if app.source == "next":
        install(target, environment, NEXT_PACKAGES)
        shutil.copytree(PACKAGE, modules / "post-runner", dirs_exist_ok=True)
    elif not modules.exists():
        modules.symlink_to(folder / "node_modules")
    run(*app.build, folder=target, environment=environment)
    note.write_text(wanted)


def fingerprint(*sources: Path) -> str:
    """What tells one state of these files and folders from another."""
    told = sha256()
    for source in sources:
        files = [source] if source.is_file() else sorted(each for each in source.rglob("*") if each.is_file())
        for file in files:
            told.update(f"{file.relative_to(source.parent)}\n".encode() + file.read_bytes())
    return told.hexdigest()


def obtain(parts: Path) -> None:
    """Get everything into `parts`/integrations. Raises what goes wrong."""
    folder = parts / "integrations"
    environment = {
        "PATH": f"{node_in(parts, NEWEST_NODE).parent}:{os.environ['PATH']}",
        "NEXT_TELEMETRY_DISABLED": "1",
        "CI": "1",  # nobody is there to be asked
    }
    install(folder, environment, PACKAGES)
    shutil.copytree(PACKAGE, folder / "node_modules" / "post-runner", dirs_exist_ok=True)
    for app in BUILT:
        build(folder, environment, app)


if __name__ == "__main__":
    obtain(Path(sys.argv[1]).resolve())
