"""What is checked, and how. `nox -l` lists the sessions; each installs what it needs."""

import platform
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import nox

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.sessions = ["lint", "types", "tests", "coverage"]

PROJECT = nox.project.load_toml()
PYTHONS = nox.project.python_versions(PROJECT)


def group(name: str) -> tuple[str, ...]:
    """The packages of a dependency group in pyproject.toml."""
    return nox.project.dependency_groups(PROJECT, name)


def real_parts(session: nox.Session) -> str:
    """The folder with the emulator and the client for Node, which are fetched and built once."""
    parts = Path(session.cache_dir).resolve() / "interop"
    session.run("python", "-m", "tests.interop.obtain", str(parts))
    return str(parts)


@nox.session
def lint(session: nox.Session) -> None:
    """Look for faults that can be seen without running anything"""
    session.install(*group("lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def types(session: nox.Session) -> None:
    """Check the types, those of the examples on the pages as well"""
    session.install("-e", ".", *group("types"))
    session.run("mypy")
    session.run("pytest", "tests/test_documentation_types.py")


@nox.session(python=PYTHONS[1:])
def tests(session: nox.Session) -> None:
    """Run the tests against the built wheel, on every Python there is but the one that `coverage` takes"""
    session.install(".", *group("tests"))
    session.run("pytest", "-m", "not interop and not soak", "-n", "4", *session.posargs)


@nox.session(python=PYTHONS[0])
def coverage(session: nox.Session) -> None:
    """Run the same tests, and see which branches they reach, in the processes that they start as well"""
    session.install(".", *group("tests"))
    session.run("coverage", "erase")
    session.run(
        "coverage", "run", "-m", "pytest", "-m", "not interop and not soak", "-n", "4", *session.posargs
    )
    session.run("coverage", "combine", "--quiet")
    session.run("coverage", "report")
    # What runs in Lambda, between the handler and the Runtime API, is held to more than what runs on a laptop. All of
    # it is reached; the last hundredth is room for a runner that a busy machine keeps from writing what was measured.
    laptop = ",".join(f"*/aws_lambda_post_runner/{part}" for part in ("cli/*", "dev/*", "pytest_plugin.py"))
    session.run("coverage", "report", f"--omit={laptop}", "--fail-under=99")


@nox.session
def steady(session: nox.Session) -> None:
    """See the tests stay green beside two busy processes, with and without coverage: `-- 3` says how often, not 10"""
    session.install(".", *group("tests"))
    suite = ("pytest", "-m", "not interop and not soak", "-n", "4")
    with ExitStack() as ending:
        for _ in range(2):
            busy = ending.enter_context(subprocess.Popen([sys.executable, "-c", "while True: pass"]))
            ending.callback(busy.kill)
        for _ in range(int(session.posargs[0]) if session.posargs else 10):
            session.run(*suite)
            session.run("coverage", "run", "-m", *suite)


@nox.session
def demo(session: nox.Session) -> None:
    """See it work: a small handler under the real Python client, and a post command that takes 2 s"""
    session.install(".", *group("demo"))
    session.run("aws-lambda-post-runner", "dev", *session.posargs, "demo")


@nox.session
def picture(session: nox.Session) -> None:
    """Draw the first page's picture from a real run, before and after"""
    session.install(".", *group("demo"))
    file = "src/aws_lambda_post_runner/dev/timeline.svg"
    session.run("python", "-m", "aws_lambda_post_runner.dev.picture", file)


@nox.session
def parts(session: nox.Session) -> None:
    """Fetch and build what `interop` and `integrations` need, which do so themselves where it was not done before"""
    session.install(".")
    session.run("python", "-m", "tests.integrations.obtain", real_parts(session))


@nox.session
def interop(session: nox.Session) -> None:
    """Run with real parts: clients of every language, the emulator, the recipes; `-- --write-matrix` tells what held"""
    session.install(".", *group("interop"))
    matrix = ("-p", "tests.interop.matrix")
    chosen = ("-m", "interop and not integrations", "-rP", "-n", "3")
    session.run(
        "python",
        "-m",
        "pytest",
        *matrix,
        *chosen,
        *session.posargs,
        env={"INTEROP_PARTS": real_parts(session)},
    )


@nox.session
def integrations(session: nox.Session) -> None:
    """Run what many functions use already, in real packages, with the runner and without it"""
    session.install(".", *group("integrations"))
    parts = real_parts(session)
    session.run("python", "-m", "tests.integrations.obtain", parts)
    session.run("pytest", "tests/integrations", "-n", "2", *session.posargs, env={"INTEROP_PARTS": parts})


@nox.session
def npm(session: nox.Session) -> None:
    """Make the helper for Node into a package that `npm install` takes, in dist/"""
    Path("dist").mkdir(exist_ok=True)
    folder = "src/aws_lambda_post_runner/layer/nodejs/post-runner"
    session.run("npm", "pack", f"./{folder}", "--pack-destination", "dist", external=True)


@nox.session
def soak(session: nox.Session) -> None:
    """Run thousands of invocations with faults drawn at random: `-- 200000` says how many"""
    session.install(".", *group("tests"))
    count = session.posargs[0] if session.posargs else "5000"
    session.run("pytest", "-m", "soak", "-rP", "tests/soak", env={"SOAK_INVOCATIONS": count})


@nox.session
def layer(session: nox.Session) -> None:
    """Build the Lambda layers and the bare executables into dist/, and say where they are"""
    session.install("-e", ".", *group("layer"))
    session.run("python", "-m", "aws_lambda_post_runner.layer", "--out", "dist", *session.posargs)


# What starts the runner, and is to hold for the executable too. Not test_ambient.py: a bare one has no file for Node.
FAULTS = (
    *("answers_are_matched", "as_without_us", "bodies", "corners", "door", "early_refusals", "first_process"),
    *("handler_api", "handler_life", "hop_by_hop", "lines_about_waits", "metrics_lines", "next_wrapper"),
    *("poll_order", "polls", "post_command", "post_work_faults", "post_work_leftovers", "refused_answers"),
    *("runtime_api_faults", "signals", "signals_and_post_work", "trust", "what_the_command_knows"),
    "wrong_settings",
)


@nox.session
def layer_tests(session: nox.Session) -> None:
    """Run what `nox -s layer` has built: where it has to run, through all faults, and through a short soak"""
    session.install("-e", ".", *group("tests"), *group("layer"))
    dist = Path("dist").resolve()
    places = {"LAYERS": str(dist), "INTEROP_PARTS": real_parts(session)}
    # by file: what the tests of one file share is made once
    both = ("tests/test_layer.py", "tests/test_layer_start.py")
    session.run("pytest", "-n", "2", "--dist", "loadfile", *both, *session.posargs, env=places)
    processor = {"aarch64": "arm64"}.get(platform.machine(), platform.machine())
    (executable,) = dist.glob(f"aws-lambda-post-runner-*-{processor}")
    tested = {"POST_RUNNER_TESTED": str(executable), "SOAK_INVOCATIONS": "1000"}
    faults = [f"tests/test_{name}.py" for name in FAULTS]
    session.run("pytest", "-n", "4", *faults, *session.posargs, env=tested)
    session.run("pytest", "-m", "soak", "-rP", "tests/soak", env=tested)


@nox.session
def release(session: nox.Session) -> None:
    """Rehearse a release of what is in dist/: twice, with equal bytes, and published to an AWS that is made up"""
    session.install("-e", ".", *group("release"))
    session.run("actionlint")
    session.run("hadolint", ".github/image/Dockerfile")
    session.run("pytest", "tests/release", "-n", "2", *session.posargs)
    # The layers and executables, and the package for Node; the rest is made here.
    dist = Path("dist")
    built = [path for path in dist.glob("aws-lambda-post-runner-*") if path.suffix != ".json"]
    built += dist.glob("*.tgz")
    folders = [Path(session.create_tmp()) / name for name in ("one", "other")]
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for path in built:
            shutil.copy(path, folder)
        session.run("python", "-m", "build", "--outdir", str(folder), ".", silent=True)
        session.run("python", "-m", "aws_lambda_post_runner.release", "prepare", str(folder))
    session.run("python", "-m", "aws_lambda_post_runner.release", "compare", *map(str, folders))
    session.run(
        "python", "-m", "aws_lambda_post_runner.release", "plan", str(folders[0]), "--govcloud", "--china"
    )
    session.run("python", "-m", "tests.release.rehearse", str(folders[0]))


BENCHES = ("latency", "memory", "fairness", "post_command", "breakdown", "start_and_end")


@nox.session
def bench(session: nox.Session) -> None:
    """Measure everything on one core and draw it; for an idle machine, a quarter of an hour"""
    session.install(".", *group("bench"))
    results = Path("bench/results")
    for name in BENCHES:
        figures = str(results / f"{name}.json")
        session.run("python", f"bench/{name}.py", "--pin", "--json", figures, *session.posargs)
    session.run("python", "bench/picture.py", str(results / "latency.json"), str(results / "latency.svg"))


@nox.session
def gate(session: nox.Session) -> None:
    """See that neither the start nor an invocation takes 15 % more than with the commit before"""
    session.install(".")
    session.run("python", "bench/gate.py", *session.posargs)


@nox.session
def bench_quick(session: nox.Session) -> None:
    """See that everything that measures still works"""
    session.install(".")
    for name in BENCHES:
        session.run("python", f"bench/{name}.py", "--quick")
