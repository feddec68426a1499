"""Brings together what the layers are made of and is not ours: packages from PyPI, and Debian's CPython.

A part is taken as its makers built it, and its name, version and licence go into the layer with it.
"""

import os
import platform
import subprocess
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution
from pathlib import Path

PYPI = ("attrs", "h11", "outcome", "sniffio", "sortedcontainers", "trio")
"""What the run path needs; taken from the environment that the builder runs in, which pins the versions.

Trio's idna is not among them: it turns host names that are not ASCII into such as are, with a megabyte of tables.
"""

CPYTHON = ("libpython3.11-minimal", "libpython3.11-stdlib", "libpython3.11-dev")
"""Debian 12's: a CPython built with profile-guided optimisation, as an archive that can be linked, and its library."""

PROVIDED = ("_contextvars.", "_typing.")
"""Modules in C that Debian has as shared libraries, and our launcher has itself."""

MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Debian's name of an architecture, and everybody else's."""


class PartMissingError(Exception):
    """Something that a layer is made of is not to be had here; the text says what to install."""


@dataclass(frozen=True)
class Part:
    """Something in a layer that others made; `licence_texts` are files to go into the layer."""

    name: str
    version: str
    licence: str
    licence_texts: tuple[Path, ...]


def from_pypi(name: str, site: Path) -> Part:
    """Copy the modules of an installed distribution into the folder `site`."""
    found = distribution(name)
    licence_texts = []
    for file in found.files or ():
        if file.suffix == ".py":
            target = site / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.read_binary())
        if ".dist-info" in file.parts[0] and file.name.upper().startswith("LICENSE"):
            licence_texts.append(Path(str(file.locate())))
    return Part(name, found.version, _licence(found), tuple(sorted(licence_texts)))


def _licence(found: Distribution) -> str:
    field = "License-Expression" if "License-Expression" in found.metadata else "License"
    return found.metadata[field]


def linker() -> Part:
    """Describe ziglang, which links the executables, for its start-up code for glibc ends up in them."""
    found = distribution("ziglang")
    texts = Path(str(found.locate_file("ziglang"))) / "lib" / "libc" / "glibc" / "LICENSES"
    licence = "LGPL-2.1-or-later, with permission to link the start-up files into any program"
    return Part("glibc start-up files (ziglang)", found.version, licence, (texts,))


class Debian:
    """Debian's packages for any architecture, through apt-get, without being root and without changing the machine.

    `folder` is where apt keeps its lists and what it has fetched, which is not fetched again. The machine's own sources
    and keys are used.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder = folder.resolve()  # apt takes what is relative for its own folders' names
        self._settings = folder / "apt.conf"
        self._has_lists = False
        for name in ("state/lists/partial", "cache/archives/partial"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "state" / "status").touch()
        self._settings.write_text(
            f'Dir::State "{folder}/state";\n'
            f'Dir::State::status "{folder}/state/status";\n'
            f'Dir::Cache "{folder}/cache";\n'
            'APT::Architectures { "amd64"; "arm64"; };\n'
            'APT::Sandbox::User "root";\n',
            encoding="utf-8",
        )

    def unpack(self, package: str, architecture: str, root: Path) -> str:
        """Unpack the package's files under `root`; return its version."""
        downloads = self._folder / "downloads" / f"{package}-{architecture}"
        downloads.mkdir(parents=True, exist_ok=True)
        if not list(downloads.glob("*.deb")):
            self._fetch(package, architecture, downloads)
        (archive,) = downloads.glob("*.deb")
        self._run("dpkg-deb", "--extract", str(archive), str(root))
        return self._run("dpkg-deb", "--field", str(archive), "Version").strip()

    def cpython(self, architecture: str, root: Path) -> Part:
        """Unpack CPython's library, headers and linkable archive."""
        (version, *_) = {self.unpack(package, architecture, root) for package in CPYTHON}
        licence_text = root / "usr" / "share" / "doc" / CPYTHON[0] / "copyright"
        return Part("CPython (Debian's libpython3.11)", version, "PSF-2.0", (licence_text,))

    @property
    def architecture(self) -> str:
        """This machine's, as Debian calls it."""
        return {machine: name for name, machine in MACHINES.items()}[platform.machine()]

    def interpreter(self, root: Path) -> Path:
        """Unpack an interpreter for this machine beside the library that `cpython` has put there; return its path.

        It has the modules in C that an executable of ours can have, so that it finds out which others are needed.
        """
        self.unpack("python3.11-minimal", self.architecture, root)
        for path in (root / "usr" / "lib" / "python3.11" / "lib-dynload").iterdir():
            if not path.name.startswith(PROVIDED):
                path.unlink()
        return root / "usr" / "bin" / "python3.11"

    def emulator(self, architecture: str, root: Path) -> list[str]:
        """Unpack what has to stand before a program of another architecture; nothing if it is this machine's.

        It looks for that architecture's libraries under `root` first.
        """
        if architecture == self.architecture:
            return []
        root.mkdir()
        self.unpack("libc6", architecture, root)
        self.unpack("qemu-user-static", self.architecture, root)
        return [str(root / "usr" / "bin" / f"qemu-{MACHINES[architecture]}-static"), "-L", str(root)]

    def _fetch(self, package: str, architecture: str, downloads: Path) -> None:
        if not self._has_lists:
            # One of the machine's sources may be out of reach and none of our business: whether ours is, is seen below.
            self._run("apt-get", "update", "--quiet", check=False)
            self._has_lists = True
        self._run("apt-get", "download", "--quiet", f"{package}:{architecture}", folder=downloads)

    def _run(self, *command: str, folder: Path | None = None, check: bool = True) -> str:
        environment = {**os.environ, "APT_CONFIG": str(self._settings), "LC_ALL": "C.UTF-8"}
        try:
            done = subprocess.run(
                command, cwd=folder, env=environment, check=False, capture_output=True, text=True
            )
        except FileNotFoundError as error:
            raise PartMissingError(
                f"{error.filename} is needed: the self-contained layers are built on Debian 12"
            ) from error
        if check and done.returncode != 0:
            raise PartMissingError(f"{' '.join(command)} failed: {done.stderr.strip()}")
        return done.stdout
