"""Get the parts of the interop tests that no Python dependency brings: `python -m tests.interop.obtain FOLDER`.

- the runtime interface emulator, out of the wheel of aws-sam-cli, which is not installed;
- the runtime client of Node, which is compiled: that takes about a minute, and Debian's autoconf, automake, libtool,
  cmake, g++ and make.

What is in the folder already is left as it is.
"""

import os
import platform
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

EMULATOR = "aws-lambda-rie"
NODE_CLIENT = "aws-lambda-ric@3"
"""The last that runs on Node 20."""


def obtain_emulator(folder: Path) -> None:
    """Put the runtime interface emulator for this machine into `folder`."""
    target = folder / EMULATOR
    if target.exists():
        return
    machine = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    with tempfile.TemporaryDirectory() as download:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        subprocess.run([*pip, "--dest", download, "aws-sam-cli"], check=True)
        (wheel,) = Path(download).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            target.write_bytes(archive.read(f"samcli/local/rapid/aws-lambda-rie-{machine}"))
    target.chmod(0o755)


def obtain_node_client(folder: Path) -> None:
    """Compile the runtime client of Node in `folder`/node_modules."""
    if (folder / "node_modules" / "aws-lambda-ric" / "dist" / "rapid-client.node").exists():
        return
    # node-gyp would download Node's headers, which come with it, and its Python must still have distutils.
    places = {"npm_config_nodedir": "/usr", "npm_config_python": "/usr/bin/python3"}
    (folder / "package.json").write_text('{"private": true}\n')
    npm = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error", NODE_CLIENT]
    subprocess.run(npm, cwd=folder, env={**os.environ, **places}, check=True)


if __name__ == "__main__":
    parts = Path(sys.argv[1])
    parts.mkdir(parents=True, exist_ok=True)
    obtain_emulator(parts)
    obtain_node_client(parts)
