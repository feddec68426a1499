"""The layers' zips, as they are: what is in them, and that they run where they have to.

`nox -s layer` builds the zips, and `nox -s layer_tests` names their folder in LAYERS; without that there is nothing to
test. What a machine cannot run is skipped with the reason, but fails in CI, where all of it has to run.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

import aws_lambda_post_runner
from aws_lambda_post_runner.layer import zips
from aws_lambda_post_runner.layer.parts import Debian

from .fake_runtime_api import NEXT, FakeRuntimeApi
from .interop.conftest import node_environment
from .interop.obtain import NEWEST_NODE, node_client_in, node_in
from .layer_stage import TIME_LIMIT, Stage, root_with_libc, unpack, why_not

pytestmark = [
    pytest.mark.timeout(600),  # the first one compiles the client, and with it a C library
    pytest.mark.skipif(
        "LAYERS" not in os.environ, reason="`nox -s layer` builds the zips, `nox -s layer_tests` tests them"
    ),
]

HERE = Path(__file__).parent
MEGABYTE = 1_000_000
SIZE_LIMIT = 5 * MEGABYTE
RESIDENT_LIMIT = 18 * MEGABYTE
"""What the kernel maps around each page that is touched counts too, and differs: 16.8 to 17.3 were seen."""
DEBIAN_NAMES = {"x86_64": "amd64", "arm64": "arm64"}
LAYERS = sorted(DEBIAN_NAMES)
THIS_MACHINES = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), "")
PYTHONS = ["3.11", "3.12", "3.13"]
PREFIX = "AWS_LAMBDA_POST_RUNNER_"
OLDEST_GLIBC = (2, 26)
"""Amazon Linux 2's."""


def unavailable(reason: str) -> NoReturn:
    """Skip, saying why; but CI has to have everything."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def zip_of(layer: str) -> Path:
    """The zip that was built."""
    version = aws_lambda_post_runner.__version__
    return Path(os.environ["LAYERS"]) / f"aws-lambda-post-runner-{version}-{layer}.zip"


def manifest_of(layer: str) -> dict[str, object]:
    """What the zip says is in it."""
    with zipfile.ZipFile(zip_of(layer)) as archive:
        manifest: dict[str, object] = json.loads(archive.read(f"{zips.PRIVATE}/manifest.json"))
    return manifest


@pytest.fixture(scope="session")
def opt(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Unpack a layer, once."""
    folder = tmp_path_factory.mktemp("opt")

    def unpacked(layer: str) -> Path:
        if not (folder / layer).exists():
            unpack(zip_of(layer), folder / layer)
            (folder / layer).chmod(0o755)
        folder.chmod(0o755)
        return folder / layer

    return unpacked


Opt = Callable[[str], Path]


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The static handler and post command, for this machine's processor."""
    target = tmp_path_factory.mktemp("client") / "client"
    machine = platform.machine()
    # fmt: off
    subprocess.run(
        [
            sys.executable, "-m", "ziglang", "cc", "-target", f"{machine}-linux-musl", "-static", "-O1",
            str(HERE / "layer_client.c"), "-o", str(target),
        ],
        check=True,
    )
    # fmt: on
    return target


@pytest.fixture(scope="session")
def libc_root(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A root directory that holds libc for a processor, and nothing else."""
    folder = tmp_path_factory.mktemp("libc")
    debian = Debian(folder / "apt")

    def root_for(layer: str) -> Path:
        root = folder / layer
        if not root.exists():
            unpacked = folder / f"{layer}-libc6"
            debian.unpack("libc6", DEBIAN_NAMES[layer], unpacked)
            root_with_libc(unpacked, root)
        return root

    return root_for


LibcRoot = Callable[[str], Path]


@dataclass(frozen=True)
class Told:
    """What is known of a function that has run."""

    output: list[str]
    happened: list[str]
    """Which paths the Runtime API was asked for and which post commands ran, in their order."""

    environment: dict[str, str]
    """What the client said that it was given."""


class Function:
    """A function that is given two events, in a root directory of its own; the second tells the client to stop."""

    def __init__(
        self,
        stage: Stage,
        command: Sequence[str],
        environment: Mapping[str, str],
        api: FakeRuntimeApi,
        empty: Path,
    ) -> None:
        empty.mkdir()
        self._api = api
        self._ids = [api.invoke(b'"one"'), api.invoke(b'"stop"')]
        self._process = stage.start(command, {"AWS_LAMBDA_RUNTIME_API": api.address, **environment}, empty)

    def run_to_its_end(self) -> Told:
        """Wait until the client has stopped, and all that was to be done after it."""
        output, said = self._communicate()
        assert self._process.returncode == 0, said
        return self._told(output)

    def run_until_idle(self) -> Told:
        """Wait until a real runtime client has handled both events and polls again; then end it."""
        try:
            self._api.await_request(NEXT, nth=3)
        except TimeoutError as error:
            self._process.terminate()
            raise AssertionError(self._communicate()) from error
        self._process.terminate()
        output, _ = self._communicate()
        return self._told(output)

    def _communicate(self) -> tuple[str, str]:
        try:
            return self._process.communicate(timeout=TIME_LIMIT)
        finally:
            self._process.kill()

    def _told(self, output: str) -> Told:
        happened = [
            (request.received, request.target.rpartition("/invocation/")[2]) for request in self._api.requests
        ]
        for line in output.splitlines():
            if line.startswith("post "):
                _, request_id, outcome, when = line.split()
                happened.append((float(when), f"post command after {request_id}/{outcome}"))
        texts = [text for _, text in sorted(happened)]
        for number, request_id in enumerate(self._ids, start=1):
            texts = [text.replace(request_id, str(number)) for text in texts]
        environment = dict(line[4:].split("=", 1) for line in output.splitlines() if line.startswith("env "))
        return Told(output.splitlines(), texts, environment)


Begin = Callable[[Stage, Sequence[str], Mapping[str, str]], Function]


@pytest.fixture
def begin(runtime_api: FakeRuntimeApi, tmp_path: Path) -> Begin:
    """Start a function on a stage, with this test's Runtime API."""

    def begin_on(stage: Stage, command: Sequence[str], environment: Mapping[str, str]) -> Function:
        return Function(stage, command, environment, runtime_api, tmp_path / "root")

    return begin_on


IN_ORDER = [
    "next",
    "1/response",
    "post command after 1/response",
    "next",
    "2/response",
    "post command after 2/response",
]
CLIENT_IS_SHELL = {PREFIX + "COMMAND": "true", PREFIX + "SHELL": "/client"}
A_REAL_SHELL = {
    "PATH": "/usr/bin:/bin",
    PREFIX + "COMMAND": f"echo post ${PREFIX}REQUEST_ID ${PREFIX}OUTCOME $(date +%s.%N)",
}


@pytest.fixture
def bare_stage(opt: Opt, client: Path, libc_root: LibcRoot) -> Callable[[str], Stage]:
    """Sets the stage for a self-contained layer: libc, the layer, the client."""
    if reason := why_not():
        unavailable(reason)

    def stage_for(layer: str) -> Stage:
        shown = {"/opt": opt(layer), "/client": client, "/dev/null": Path("/dev/null")}
        if layer == THIS_MACHINES:
            return Stage(libc_root(layer), shown)
        machine = {"x86_64": "x86_64", "arm64": "aarch64"}[layer]
        qemu = shutil.which(f"qemu-{machine}-static")
        if qemu is None:
            unavailable(f"qemu-{machine}-static is needed: Debian's package qemu-user-static")
        return Stage(libc_root(layer), {**shown, "/qemu": Path(qemu)}, ["/qemu"])

    return stage_for


BareStage = Callable[[str], Stage]


@pytest.mark.parametrize("layer", LAYERS)
def test_a_zip_is_small(layer: str) -> None:
    assert zip_of(layer).stat().st_size <= SIZE_LIMIT


@pytest.mark.parametrize("layer", LAYERS)
def test_only_the_helpers_are_where_a_runtime_looks_for_modules(layer: str, opt: Opt) -> None:
    folder = opt(layer)
    assert {path.name for path in folder.iterdir()} == {
        *("aws-lambda-post-runner", "entry.sh", zips.PRIVATE, "python", "nodejs")
    }
    assert [path.name for path in (folder / "python").iterdir()] == ["post_runner"]
    assert [path.name for path in (folder / "nodejs" / "node_modules").iterdir()] == ["post-runner"]
    assert os.access(folder / "aws-lambda-post-runner", os.X_OK)
    assert os.access(folder / "entry.sh", os.X_OK)


@pytest.mark.parametrize("layer", LAYERS)
def test_a_zip_tells_what_it_is_and_under_which_licences(layer: str, opt: Opt) -> None:
    manifest = manifest_of(layer)
    assert manifest["version"] == aws_lambda_post_runner.__version__
    assert manifest["layer"] == layer
    assert manifest["commit"]
    parts = manifest["parts"]
    assert isinstance(parts, list)
    assert {"trio", "h11"} <= {part["name"] for part in parts}
    for part in parts:
        assert part["version"]
        assert part["licence"]
        assert part["texts"]
        for text in part["texts"]:
            assert (opt(layer) / zips.PRIVATE / "licences" / text).stat().st_size > 0


@pytest.mark.parametrize("layer", LAYERS)
def test_the_manifest_names_the_snapshot_its_seed_and_the_commit(layer: str, opt: Opt) -> None:
    manifest = manifest_of(layer)
    seal = manifest["snapshot"]
    assert isinstance(seal, str)
    assert bytes.fromhex(seal) in (opt(layer) / "aws-lambda-post-runner").read_bytes()
    build = zips.Build(layer, aws_lambda_post_runner.__version__, str(manifest["commit"]))
    assert manifest["hash_seed"] == build.hash_seed


@pytest.mark.parametrize("layer", LAYERS)
def test_the_bare_executable_is_the_zips(layer: str, opt: Opt) -> None:
    bare = zip_of(layer).with_suffix("")
    assert os.access(bare, os.X_OK)
    assert bare.read_bytes() == (opt(layer) / "aws-lambda-post-runner").read_bytes()


def test_nothing_else_is_built() -> None:
    built = {path.name for path in Path(os.environ["LAYERS"]).glob("aws-lambda-post-runner-*")}
    assert built == {name for layer in LAYERS for name in (zip_of(layer).name, zip_of(layer).stem)}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("layer", LAYERS)
def test_two_builds_are_the_same_bytes(layer: str, tmp_path: Path) -> None:
    """Whatever the surroundings are."""
    build = [sys.executable, "-m", "aws_lambda_post_runner.layer", layer, "--out", str(tmp_path / "dist")]
    environment = {**os.environ, "TMPDIR": str(tmp_path), "TZ": "Asia/Kathmandu", "PYTHONHASHSEED": "7"}
    subprocess.run(build, check=True, env=environment)
    assert (tmp_path / "dist" / zip_of(layer).name).read_bytes() == zip_of(layer).read_bytes()


@pytest.mark.parametrize("layer", LAYERS)
def test_the_executable_needs_nothing_but_an_old_libc(layer: str, opt: Opt) -> None:
    if shutil.which("readelf") is None:
        unavailable("readelf is needed: Debian's package binutils")
    executable = opt(layer) / "aws-lambda-post-runner"
    shown = subprocess.run(
        ["readelf", "--dynamic", "--version-info", "--wide", str(executable)],
        check=True, capture_output=True, text=True,
    ).stdout  # fmt: skip
    needed = {line.split("[")[1].rstrip("]") for line in shown.splitlines() if "(NEEDED)" in line}
    libc = {
        "libc.so.6",
        "libdl.so.2",
        "libm.so.6",
        "libpthread.so.0",
        "libutil.so.1",
        "ld-linux-aarch64.so.1",
    }
    assert needed <= libc
    versions = {word.removeprefix("GLIBC_") for word in shown.split() if word.startswith("GLIBC_")}
    assert max(tuple(map(int, version.split("."))) for version in versions) <= OLDEST_GLIBC


@pytest.mark.parametrize("layer", LAYERS)
def test_a_self_contained_layer_runs_where_there_is_only_libc(
    layer: str, bare_stage: BareStage, begin: Begin
) -> None:
    command = ["/opt/aws-lambda-post-runner", "/client"]
    told = begin(bare_stage(layer), command, CLIENT_IS_SHELL).run_to_its_end()
    assert told.happened == IN_ORDER


@pytest.mark.parametrize("layer", LAYERS)
def test_an_executable_says_which_it_is(layer: str, bare_stage: BareStage, tmp_path: Path) -> None:
    command = ["/opt/aws-lambda-post-runner", "--version"]
    (tmp_path / "root").mkdir()
    process = bare_stage(layer).start(command, {}, tmp_path / "root")
    output, said = process.communicate(timeout=TIME_LIMIT)
    assert process.returncode == 0, said
    commit = manifest_of(layer)["commit"]
    version = aws_lambda_post_runner.__version__
    assert output == f"aws-lambda-post-runner {version} (layer {layer}, commit {commit})\n"


def test_a_node_handler_runs_with_the_real_client(opt: Opt, begin: Begin, tmp_path: Path) -> None:
    """Node and aws-lambda-ric are in the folder that INTEROP_PARTS names, put there by tests/interop/obtain.py."""
    parts = os.environ.get("INTEROP_PARTS")
    if parts is None:
        unavailable("INTEROP_PARTS names no folder with Node and aws-lambda-ric")
    node, client = node_in(Path(parts), NEWEST_NODE), node_client_in(Path(parts))
    function = tmp_path / "task"
    function.mkdir()
    (function / "app.js").write_text("exports.handler = async (event) => event;\n", encoding="utf-8")
    shown = {"/var/node": node.resolve(), "/var/runtime": client.parent, "/var/task": function}
    command = ["/opt/entry.sh", "/var/node", "/var/runtime/index.mjs"]
    environment = {**A_REAL_SHELL, **node_environment(Path("/var/task"), "app.handler")}
    told = begin(host_stage(opt(THIS_MACHINES), shown), command, environment).run_until_idle()
    assert told.happened == [*IN_ORDER, "next"]


TRAPS = {
    "LC_ALL": "C",
    "LD_LIBRARY_PATH": "/var/traps:/opt",
    "PYTHONHOME": "/nowhere",
    "PYTHONPATH": "/var/traps",
    "PYTHONSTARTUP": "/nowhere",
}
"""Variables that would lead another Python, or a loader, astray: they are to be passed on, and not to be followed."""


@pytest.fixture
def traps(tmp_path: Path) -> Path:
    """A folder where an import, or the loader, would find what is no module, or no library, of ours."""
    folder = tmp_path / "traps"
    folder.mkdir()
    for name in ("libm.so.6", "libdl.so.2", "libpthread.so.0", "libutil.so.1"):
        (folder / name).write_text("no library", encoding="utf-8")
    for name in ("trio", "h11", "attr", "socket", "aws_lambda_post_runner"):
        (folder / f"{name}.py").write_text("raise SystemExit('astray')", encoding="utf-8")
    return folder


def test_the_handlers_environment_is_what_lambda_gave(
    bare_stage: BareStage, traps: Path, runtime_api: FakeRuntimeApi, begin: Begin
) -> None:
    stage = bare_stage(THIS_MACHINES)
    stage = Stage(stage.root, {**stage.shown, "/var/traps": traps})
    environment = {**CLIENT_IS_SHELL, **TRAPS}
    told = begin(stage, ["/opt/entry.sh", "/client"], environment).run_to_its_end()
    assert told.happened == IN_ORDER
    address = told.environment.pop("AWS_LAMBDA_RUNTIME_API")
    assert address.startswith("127.0.0.1:")
    assert address != runtime_api.address
    assert told.environment == environment


def host_stage(layer: Path, shown: Mapping[str, Path]) -> Stage:
    """This machine's own root directory, with the layer and what is shown in it."""
    if reason := why_not():
        unavailable(reason)
    return Stage(Path("/"), {"/opt": layer, **shown})


def prefix_of(version: str) -> Path:
    """Where the Python of that version is installed."""
    python = shutil.which(f"python{version}")
    if python is None:
        unavailable(f"python{version} is needed")
    asked = subprocess.run(
        [python, "-c", "import sys; print(sys.base_prefix)"], check=False, capture_output=True, text=True
    )
    if asked.returncode != 0:
        unavailable(f"python{version} does not run: {asked.stderr.strip()}")
    return Path(asked.stdout.strip())


@pytest.fixture(scope="session")
def python_runtime(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Path]]:
    """A Python at /var/lang, as in Lambda's images, the runtime client and a function beside it."""
    folder = tmp_path_factory.mktemp("clients")
    function = folder / "task"
    function.mkdir()
    (function / "app.py").write_text("def handler(event, context):\n    return event\n", encoding="utf-8")

    def shown_for(version: str) -> dict[str, Path]:
        prefix = prefix_of(version)
        client = folder / version
        if not client.exists():
            install = [
                f"python{version}",
                "-m",
                "pip",
                "install",
                "--quiet",
                "--target",
                str(client),
                "awslambdaric",
            ]
            subprocess.run(install, check=True)
        return {"/var/lang": prefix, "/var/runtime": client, "/var/task": function}

    return shown_for


PythonRuntime = Callable[[str], dict[str, Path]]
OF_THE_RUNTIME = {"LD_LIBRARY_PATH": "/var/lang/lib", "PYTHONPATH": "/var/runtime:/var/task"}
AWSLAMBDARIC = ["/var/lang/bin/python3", "-m", "awslambdaric", "app.handler"]


@pytest.mark.parametrize("version", PYTHONS)
def test_a_python_handler_runs_with_the_real_client(
    version: str, opt: Opt, python_runtime: PythonRuntime, begin: Begin
) -> None:
    stage = host_stage(opt(THIS_MACHINES), python_runtime(version))
    environment = {**A_REAL_SHELL, **OF_THE_RUNTIME}
    command = ["/opt/entry.sh", *AWSLAMBDARIC]
    told = begin(stage, command, environment).run_until_idle()
    assert told.happened == [*IN_ORDER, "next"]


def test_the_handler_is_started_through_the_next_wrapper(
    opt: Opt, client: Path, begin: Begin, tmp_path: Path
) -> None:
    wrapper = tmp_path / "wrapper"
    wrapper.write_text('#!/bin/sh\nexport WRAPPED="$1"\nexec "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    shown = {"/var/client": client, "/var/wrapper": wrapper}
    environment = {**A_REAL_SHELL, PREFIX + "NEXT_WRAPPER": "/var/wrapper"}
    command = ["/opt/entry.sh", "/var/client", "argument"]
    stage = host_stage(opt(THIS_MACHINES), shown)
    told = begin(stage, command, environment).run_to_its_end()
    assert told.environment["WRAPPED"] == "/var/client"
    assert told.happened == IN_ORDER


def test_working_directory_and_descriptors_are_kept(
    opt: Opt, client: Path, runtime_api: FakeRuntimeApi, tmp_path: Path
) -> None:
    """Lambda's own clients log to a descriptor that they were handed."""
    runtime_api.invoke(b'"stop"')
    log, end = os.pipe()
    environment = {
        "AWS_LAMBDA_RUNTIME_API": runtime_api.address,
        **A_REAL_SHELL,
        "_LAMBDA_TELEMETRY_LOG_FD": str(end),
    }
    done = subprocess.run(
        [opt(THIS_MACHINES) / "aws-lambda-post-runner", client],
        cwd=tmp_path, env=environment, pass_fds=[end], check=True, capture_output=True, text=True, timeout=TIME_LIMIT,
    )  # fmt: skip
    os.close(log)
    os.close(end)
    lines = done.stdout.splitlines()
    assert f"cwd {tmp_path}" in lines
    assert [line for line in lines if line.startswith("fd ")] == [f"fd {end}"]


def test_less_than_18_mb_are_resident_before_the_first_event(
    opt: Opt, client: Path, runtime_api: FakeRuntimeApi
) -> None:
    process = subprocess.Popen(
        [opt(THIS_MACHINES) / "aws-lambda-post-runner", client],
        env={"AWS_LAMBDA_RUNTIME_API": runtime_api.address, **CLIENT_IS_SHELL}, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        runtime_api.await_request(NEXT)
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="utf-8")
    finally:
        process.kill()
        process.wait()
    (resident,) = [line.split()[1] for line in status.splitlines() if line.startswith("VmRSS:")]
    assert int(resident) * 1024 <= RESIDENT_LIMIT
