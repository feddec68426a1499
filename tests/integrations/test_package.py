"""The helper for Node as `npm pack` makes it: installed, imported, required, bundled, and with its types."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.interop.obtain import NEWEST_NODE, node_in

from .conftest import PATIENCE, Stage, await_freeze, await_line, real_parts
from .obtain import PACKAGE, SLOW, packages_in

IMPORTING = """
import { waitUntil } from 'post-runner';
import { work } from './slow.mjs';

export const handler = async () => {
  waitUntil(work('welcome'));
  return 'answered';
};
"""
REQUIRING = """
const { waitUntil } = require('post-runner');
const { work } = require('./slow.mjs');

exports.handler = async () => {
  waitUntil(work('welcome'));
  return 'answered';
};
"""
TYPED = """
import { waitUntil, work } from 'post-runner';
import { withWaitUntil } from 'post-runner/hono';

const taken: Promise<boolean> = work({ user: 7 });
const waits: Promise<boolean> = waitUntil(taken, 'an id');
waitUntil(async () => waits, undefined, 'a name');
const app: { fetch: (request: string, env?: object) => string } = { fetch: (request) => request };
const fetched: string = withWaitUntil(app).fetch('/');
// @ts-expect-error
waitUntil(7);
export { fetched };
"""
MODULES_ALONE = """
import plugin from 'post-runner/nitro';
import { withWaitUntil } from 'post-runner/opennext';

plugin({ hooks: { hook: (name, call) => [name, call] } });
export const { name } = withWaitUntil({ name: 'mine', wrapper: () => undefined });
"""


def run(folder: Path, *command: str | Path) -> str:
    """Run a command that must succeed; return what it prints."""
    done = subprocess.run(
        command, cwd=folder, check=False, capture_output=True, text=True, timeout=PATIENCE * 3
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bundled(folder: Path, source: Path, form: str) -> str:
    """What esbuild makes of a file."""
    esbuild = packages_in(real_parts()) / "esbuild" / "bin" / "esbuild"
    target = "--target=node20"
    return run(folder, esbuild, source, "--bundle", "--platform=node", target, f"--format={form}")


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package, packed and unpacked as npm does."""
    folder = tmp_path_factory.mktemp("packed")
    (told,) = json.loads(run(folder, "npm", "pack", "--json", PACKAGE))
    shutil.unpack_archive(folder / told["filename"], folder)
    return folder / "package"


@pytest.fixture
def project(tmp_path: Path, packed: Path) -> Path:
    """A function's folder with the package installed."""
    shutil.copytree(packed, tmp_path / "function" / "node_modules" / "post-runner")
    shutil.copy(SLOW, tmp_path / "function")
    return tmp_path / "function"


@pytest.mark.parametrize("how", ["imported", "required", "bundled as esm", "bundled as cjs"])
def test_it_holds_the_freeze_however_it_came_into_the_function(stage: Stage, project: Path, how: str) -> None:
    match how:
        case "imported":
            (project / "index.mjs").write_text(IMPORTING)
        case "required":
            (project / "index.cjs").write_text(REQUIRING)
        case _:
            source, form = project / "source.mjs", how.rpartition(" ")[2]
            source.write_text(IMPORTING)
            bundle = bundled(project, source, form)
            (project / f"index.{'mjs' if form == 'esm' else 'cjs'}").write_text(bundle)
            shutil.rmtree(project / "node_modules")
    function = stage.run_node("index.handler", folder=project, environ={"NODE_PATH": ""})
    assert function.invoke({}).json() == "answered"
    stage.open_gate()
    assert await_line(function, "welcome done") < await_freeze(function)


def test_a_bundle_that_does_not_use_it_does_not_have_it(project: Path) -> None:
    source = project / "source.mjs"
    source.write_text(
        "import { waitUntil } from 'post-runner'; export const handler = async () => 'answered';"
    )
    assert "post-runner" not in bundled(project, source, "esm")


@pytest.mark.parametrize("name", ["typed.mts", "typed.cts", "modules.mts"])
def test_it_has_types_for_both_kinds_of_modules(project: Path, name: str) -> None:
    (project / name).write_text(MODULES_ALONE if name == "modules.mts" else TYPED)
    parts = real_parts()
    options = ("--noEmit", "--strict", "--module", "node16", "--target", "es2022")
    compiler = packages_in(parts) / "typescript" / "bin" / "tsc"
    run(project, node_in(parts, NEWEST_NODE), compiler, *options, name)
