"""The walls between the rooms of the package, read from its source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import aws_lambda_post_runner

PACKAGE = Path(aws_lambda_post_runner.__file__).parent

IMPORTS: dict[str, set[str]] = {
    # pure: no IO
    "runtime_api": set(),
    "settings": {"runtime_api"},
    "invocation": {"runtime_api", "settings"},
    "heads": {"h11"},
    "plain_heads": {"heads"},
    # bytes, and what they are bytes of
    "wire": {"h11", "heads", "plain_heads", "trio"},
    "pool": {"wire"},
    "polls": {"heads", "trio", "wire"},
    "handler_api": {"invocation", "post_work", "runtime_api"},
    "relay": {
        "capture",
        "handler_api",
        "heads",
        "invocation",
        "polls",
        "pool",
        "post_work",
        "report",
        "runtime_api",
        "settings",
        "trio",
        "wire",
    },
    # work
    "capture": set(),
    "report": {"invocation", "settings"},
    "post_work": {"invocation", "report", "settings", "trio"},
    "processes": {"capture", "invocation", "report", "settings", "trio"},
    # from the start to the exit status
    "supervisor": {"boot", "post_work", "processes", "relay", "report", "runtime_api", "settings", "trio"},
    "init_error": {"heads", "runtime_api", "trio", "wire"},
    "drop_in": {"init_error", "processes", "report", "runtime_api", "settings", "supervisor", "trio"},
    "boot": set(),
    "build": set(),
    "__init__": set(),
    "entry": {"__init__", "boot", "build", "cli", "drop_in"},
    "__main__": {"entry"},
}
"""What each room of the run path imports of the others and of other people's packages. `cli`, `dev`, `layer` and
`pytest_plugin` are not on the run path: only `entry` knows the way to the first of them."""

FOR_PEOPLE = {"typer", "rich", "click", "pydantic"}


def rooms() -> list[str]:
    return sorted(IMPORTS)


def tree_of(room: str) -> ast.Module:
    return ast.parse((PACKAGE / f"{room}.py").read_text(encoding="utf-8"))


def imported(tree: ast.Module) -> Iterator[str]:
    """The rooms and packages that are imported anywhere in a module, within functions as well."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (each.name.partition(".")[0] for each in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module.partition(".")[0]
            case ast.ImportFrom(module=str(module)):
                yield module.partition(".")[0]
            case ast.ImportFrom(names=names):
                yield from (each.name if room_exists(each.name) else "__init__" for each in names)


def room_exists(name: str) -> bool:
    return (PACKAGE / f"{name}.py").exists() or (PACKAGE / name).is_dir()


def known(names: Iterator[str]) -> set[str]:
    return {name for name in names if name not in sys.stdlib_module_names}


def named(tree: ast.Module) -> set[str]:
    """All names and attributes that the code uses."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def texts(tree: ast.Module) -> set[str]:
    """All constant texts and bytes of the code, without its docstrings, in lower case."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in said]
    values = [node.value for node in constants]
    texts = [each.decode("latin-1") if isinstance(each, bytes) else each for each in values]
    return {text.lower() for text in texts if isinstance(text, str)}


def reaches(room: str) -> set[str]:
    """All that a room imports, and what that imports, and so on."""
    reached: set[str] = set()
    ahead = {room}
    while ahead:
        reached |= ahead
        ahead = set().union(*(IMPORTS.get(each, set()) for each in ahead)) - reached
    return reached - {room}


@pytest.mark.parametrize("room", rooms())
def test_a_room_imports_what_the_table_says(room: str) -> None:
    assert known(imported(tree_of(room))) == IMPORTS[room]


def test_every_module_on_the_run_path_is_in_the_table() -> None:
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    assert modules - {"cli", "pytest_plugin"} == set(IMPORTS)


def test_relay_and_processes_never_reach_each_other() -> None:
    assert "processes" not in reaches("relay")
    assert "relay" not in reaches("processes")


def test_nothing_on_the_run_path_reaches_the_packages_for_people() -> None:
    assert reaches("drop_in") & {"trio", "h11"} == {"trio", "h11"}
    assert not reaches("drop_in") & (FOR_PEOPLE | {"cli", "dev", "pytest_plugin"})


def test_only_cli_and_dev_know_typer_and_rich() -> None:
    who = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if FOR_PEOPLE & set(imported(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert who <= {"cli.py", "dev"}


@pytest.mark.parametrize("room", sorted(set(rooms()) - {"runtime_api"}))
def test_only_runtime_api_knows_its_paths_and_header_names(room: str) -> None:
    theirs = ("lambda-runtime-", "/runtime/", "2018-06-01", "2020-01-01")
    assert not [text for text in texts(tree_of(room)) for part in theirs if part in text]


def test_only_wire_sees_bytes_of_a_connection() -> None:
    """The supervisor has the listener, and hands each socket that it accepts to the relay's wire."""
    seeing = {"recv", "recv_into", "send", "sendall", "sendmsg", "setsockopt", "accept"}
    seen = {room: seeing & named(tree_of(room)) for room in rooms()}
    assert {room for room in rooms() if seen[room]} == {"wire", "supervisor"}
    assert seen["supervisor"] == {"accept"}
    assert {room for room in rooms() if "h11" in IMPORTS[room]} == {"wire", "heads"}


def test_only_processes_starts_processes() -> None:
    starting = {"run_process", "open_process", "Popen", "posix_spawn", "fork"}
    assert [room for room in rooms() if starting & named(tree_of(room))] == ["processes"]


def test_only_the_supervisor_opens_a_nursery() -> None:
    assert [room for room in rooms() if "open_nursery" in named(tree_of(room))] == ["supervisor"]


FORMS = {"drop-in": ["true"], "run": ["run", "--", "true"]}


@pytest.mark.parametrize("form", FORMS)
def test_the_run_path_loads_nothing_that_is_for_people(form: str) -> None:
    run_and_tell = (
        "import sys\n"
        "from aws_lambda_post_runner.entry import main\n"
        "status = main()\n"
        "print(*sys.modules)\n"
        "sys.exit(status)\n"
    )
    environment = {"AWS_LAMBDA_RUNTIME_API": "127.0.0.1:1", "AWS_LAMBDA_POST_RUNNER_COMMAND": "true"}
    ended = subprocess.run(
        [sys.executable, "-c", run_and_tell, *FORMS[form]],
        env={"PATH": "/bin:/usr/bin", **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    loaded = set(ended.stdout.split())
    assert "aws_lambda_post_runner.relay" in loaded
    assert not loaded & (FOR_PEOPLE | {"aws_lambda_post_runner.cli", "aws_lambda_post_runner.dev"})
