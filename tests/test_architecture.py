"""The walls between the wings and rooms of the package, read from its source."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import aws_lambda_post_runner

PACKAGE = Path(aws_lambda_post_runner.__file__).parent

IMPORTS: dict[str, set[str]] = {
    # the vocabulary; pure or nearly
    "runtime_api": set(),
    "settings": {"origin", "runtime_api"},
    "invocation": {"runtime_api", "settings"},
    "report": {"exits", "invocation", "settings"},
    "exits": set(),
    "ambient": set(),
    "build": set(),
    "__init__": set(),
    # the relay: bytes, and what they are bytes of
    "proxy.__init__": set(),
    "proxy.heads": {"h11"},
    "proxy.plain_heads": {"proxy.heads"},
    "proxy.turn": {"trio"},
    "proxy.kept_tasks": {"trio"},
    "proxy.half_closed": set(),
    "proxy.wire": {"proxy.half_closed", "proxy.turn", "trio"},
    "proxy.bodies": {"h11", "proxy.heads", "proxy.wire"},
    "proxy.ends": {"h11", "proxy.bodies", "proxy.heads", "proxy.plain_heads", "proxy.wire", "trio"},
    "proxy.door": {"proxy.ends", "proxy.turn", "proxy.wire", "trio"},
    "proxy.answers": {"invocation", "trio"},
    "proxy.ask": {
        "proxy.bodies",
        "proxy.ends",
        "proxy.heads",
        "proxy.turn",
        "proxy.wire",
        "runtime_api",
        "trio",
    },
    "proxy.pool": {"proxy.ends", "trio"},
    "proxy.shared": {
        "invocation",
        "post.work",
        "proxy.answers",
        "proxy.door",
        "proxy.pool",
        "report",
        "settings",
    },
    "proxy.polls": {
        "invocation",
        "post.capture",
        "proxy.ask",
        "proxy.ends",
        "proxy.heads",
        "proxy.shared",
        "runtime_api",
        "trio",
    },
    "proxy.init_error": {"proxy.ends", "proxy.heads", "proxy.wire", "runtime_api", "trio"},
    "proxy.export": {"post.span", "proxy.ends", "proxy.heads", "proxy.wire", "trio"},
    "proxy.relay": {
        "invocation",
        "post.capture",
        "post.handler_api",
        "post.work",
        "proxy.answers",
        "proxy.ask",
        "proxy.bodies",
        "proxy.door",
        "proxy.ends",
        "proxy.heads",
        "proxy.polls",
        "proxy.pool",
        "proxy.shared",
        "proxy.turn",
        "proxy.wire",
        "report",
        "runtime_api",
        "settings",
    },
    # post work
    "post.__init__": set(),
    "post.breaker": set(),
    "post.capture": set(),
    "post.account": {"invocation", "post.attempts"},
    "post.attempts": {
        "invocation",
        "post.breaker",
        "post.capture",
        "post.cutting",
        "post.retry",
        "report",
        "settings",
        "trio",
    },
    "post.cutting": {"trio"},
    "post.metrics": {"post.account", "post.retry", "report", "settings"},
    "post.retry": {"invocation"},
    "post.span": set(),
    "post.spans": {"post.account", "post.span", "report", "trio"},
    "post.work": {
        "invocation",
        "post.account",
        "post.attempts",
        "post.cutting",
        "post.retry",
        "report",
        "settings",
        "trio",
    },
    "post.session": set(),
    "post.quiet": {"post.session"},
    "post.settle": {"post.quiet", "trio"},
    "post.stdin": set(),
    "post.command": {
        "exits",
        "invocation",
        "post.attempts",
        "post.capture",
        "post.session",
        "post.stdin",
        "report",
        "settings",
        "trio",
    },
    "post.handler_api": {"invocation", "post.work", "runtime_api"},
    # from the start to the exit status
    "handler": {"exits", "trio"},
    "supervisor": {
        "ambient",
        "build",
        "exits",
        "handler",
        "invocation",
        "origin",
        "post.attempts",
        "post.command",
        "post.metrics",
        "post.settle",
        "post.span",
        "post.spans",
        "post.work",
        "proxy.door",
        "proxy.export",
        "proxy.kept_tasks",
        "proxy.relay",
        "report",
        "runtime_api",
        "settings",
        "trio",
    },
    "origin": set(),
    "first_process": {"exits"},
    "drop_in": {
        "exits",
        "first_process",
        "origin",
        "proxy.init_error",
        "report",
        "runtime_api",
        "settings",
        "supervisor",
        "trio",
    },
    "entry": {"__init__", "build", "cli.app", "drop_in", "runtime_api"},
    "__main__": {"entry"},
}
"""What each room of the run path imports of the others and of other people's packages. `cli`, `dev`, `layer`,
`release` and `pytest_plugin` are not on the run path: only `entry` knows the way to the first of them."""

OFF_THE_RUN_PATH = ("cli", "dev", "layer", "recipes", "release", "pytest_plugin")
FOR_PEOPLE = {"typer", "rich", "click", "pydantic"}


def rooms() -> list[str]:
    return sorted(IMPORTS)


def tree_of(room: str) -> ast.Module:
    return ast.parse(path_of(room).read_text(encoding="utf-8"))


def path_of(room: str) -> Path:
    return PACKAGE / f"{room.replace('.', '/')}.py"


def imported(tree: ast.Module, wing: str) -> Iterator[str]:
    """The rooms and packages that are imported anywhere in a module, within functions as well."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (each.name.partition(".")[0] for each in names)
            case ast.ImportFrom(module=module, names=names, level=1):
                yield from rooms_in(".".join(filter(None, [wing, module])), names)
            case ast.ImportFrom(module=str(module), names=names) if module.split(".")[0] == PACKAGE.name:
                yield from rooms_in(module.removeprefix(PACKAGE.name).lstrip("."), names)
            case ast.ImportFrom(module=str(module)):
                yield module.partition(".")[0]


def rooms_in(module: str, names: list[ast.alias]) -> Iterator[str]:
    """A module, or those of a package's names that are modules of their own."""
    if path_of(module).is_file():
        yield module
        return
    for name in names:
        room = ".".join(filter(None, [module, name.name]))
        yield room if path_of(room).is_file() else ".".join(filter(None, [module, "__init__"]))


def wing_of(room: str) -> str:
    return room.rpartition(".")[0]


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
    assert known(imported(tree_of(room), wing_of(room))) == IMPORTS[room]


def test_every_module_on_the_run_path_is_in_the_table() -> None:
    modules = {".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")}
    assert {room for room in modules if room.split(".")[0] not in OFF_THE_RUN_PATH} == set(IMPORTS)


def test_the_relay_and_the_post_command_never_reach_each_other() -> None:
    """The supervisor joins them."""
    assert "post.command" not in reaches("proxy.relay")
    assert not [room for room in reaches("post.command") if room.startswith("proxy.")]


def test_nothing_on_the_run_path_reaches_the_packages_for_people() -> None:
    assert reaches("drop_in") & {"trio", "h11"} == {"trio", "h11"}
    assert not reaches("drop_in") & FOR_PEOPLE
    assert not [room for room in reaches("drop_in") if room.split(".")[0] in OFF_THE_RUN_PATH]


def test_only_cli_and_dev_know_typer_and_rich() -> None:
    who = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if FOR_PEOPLE & set(imported(ast.parse(path.read_text(encoding="utf-8")), "elsewhere"))
    }
    assert who <= {"cli", "dev"}


@pytest.mark.parametrize("room", sorted(set(rooms()) - {"runtime_api"}))
def test_only_runtime_api_knows_its_paths_and_header_names(room: str) -> None:
    theirs = ("lambda-runtime-", "/runtime/", "2018-06-01", "2020-01-01")
    assert not [text for text in texts(tree_of(room)) for part in theirs if part in text]


def test_only_wire_sees_bytes_of_a_connection() -> None:
    """The door has the listener, and hands on each socket that it accepts; the ends tell h11 what was sent."""
    seeing = {"recv", "recv_into", "send", "sendall", "sendmsg", "setsockopt", "accept"}
    seen = {room: seeing & named(tree_of(room)) for room in rooms()}
    assert {room for room in rooms() if seen[room]} == {"proxy.door", "proxy.ends", "proxy.wire"}
    assert (seen["proxy.door"], seen["proxy.ends"]) == ({"accept"}, {"send"})
    assert {room for room in rooms() if "h11" in IMPORTS[room]} == {
        "proxy.bodies",
        "proxy.ends",
        "proxy.heads",
    }


def test_only_the_handler_and_the_post_command_are_started() -> None:
    """And, where we are the first process of a container, the runner itself."""
    starting = {"run_process", "open_process", "Popen", "posix_spawn", "fork"}
    started = [room for room in rooms() if starting & named(tree_of(room))]
    assert started == ["first_process", "handler", "post.command"]


def test_only_the_supervisor_has_a_nursery_that_outlives_a_call() -> None:
    """That of an upload is local: it ends with the upload."""
    assert [room for room in rooms() if "open_nursery" in named(tree_of(room))] == ["proxy.ask", "supervisor"]


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
    assert "aws_lambda_post_runner.proxy.relay" in loaded
    assert not loaded & (FOR_PEOPLE | {"aws_lambda_post_runner.cli", "aws_lambda_post_runner.dev"})
