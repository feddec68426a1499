"""Places to run a layer in: a root directory like that of a Lambda environment, in a mount namespace of its own.

All of it is read-only but /tmp, the layer is at /opt, and what runs there is nobody. Needs root, Linux and
`unshare`.
"""

import os
import shutil
import subprocess
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NOBODY = 65534
CHROOT = shutil.which("chroot", path="/usr/sbin:/usr/bin:/sbin:/bin") or "chroot"
TIME_LIMIT = 60.0
"""Seconds after which a run counts as hanging; under qemu a start takes some."""

# $1 is the directory to be the root, and what it is to hold follows: a directory and where it is to be seen, in pairs,
# up to "--"; then the command with its environment before it.
SET_THE_STAGE = """
set -e
mount --make-rprivate /
root=$1 stage=$2
shift 2
mount --rbind "$root" "$stage"
mount -t tmpfs tmpfs "$stage/tmp"
chmod 1777 "$stage/tmp"
mount -t tmpfs tmpfs "$stage/var"
while [ "$1" != -- ]; do
    if [ -d "$1" ]; then mkdir -p "$stage$2"; else : >>"$stage$2"; fi
    mount --bind "$1" "$stage$2"
    shift 2
done
shift
mount -o remount,bind,ro "$stage"
mount -o remount,bind,ro "$stage/var"
exec env -i "$@"
"""


def why_not() -> str:
    """Say why no stage can be set here; nothing if one can."""
    if os.geteuid() != 0:
        return "only root can make a mount namespace and a root directory"
    if subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0:
        return "mount namespaces are not allowed here"
    return ""


@dataclass(frozen=True)
class Stage:
    """A root directory, and what is to be seen where in it: `shown` maps absolute paths to what is really there."""

    root: Path
    shown: Mapping[str, Path]
    emulator: Sequence[str] = field(default=())
    """What has to stand before a program of another processor."""

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], empty: Path
    ) -> subprocess.Popen[str]:
        """Start a command there; `empty` is an empty directory to put the root on."""
        shown = [part for path, source in self.shown.items() for part in (str(source), path)]
        unshare = [
            "unshare",
            "--mount",
            "sh",
            "-c",
            SET_THE_STAGE,
            "sh",
            str(self.root),
            str(empty),
            *shown,
            "--",
        ]
        variables = [f"{name}={value}" for name, value in environment.items()]
        chroot = [CHROOT, f"--userspec={NOBODY}:{NOBODY}", "--groups=", str(empty)]
        return subprocess.Popen(
            [*unshare, *variables, *chroot, *self.emulator, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )


def unpack(archive: Path, folder: Path) -> Path:
    """Unpack a zip as Lambda does, with the modes that it tells."""
    with zipfile.ZipFile(archive) as opened:
        for entry in opened.infolist():
            path = Path(opened.extract(entry, folder))
            path.chmod(entry.external_attr >> 16 & 0o777)
    return folder


def root_with_libc(unpacked: Path, root: Path) -> None:
    """Make a root directory with the libraries of an unpacked libc6, where Amazon Linux has them, and nothing else."""
    for name in ("opt", "tmp", "var", "dev"):
        (root / name).mkdir(parents=True)
    libraries = root / "lib64"
    libraries.mkdir()
    for library in unpacked.glob("lib/*-linux-gnu/*.so*"):
        if library.is_file():
            shutil.copy(library, libraries)
    (root / "lib").symlink_to("lib64")
