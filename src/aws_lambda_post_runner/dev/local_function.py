"""Which function `dev` runs: from the words on its command line, a template and a file of variables."""

import importlib.util
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aws_lambda_post_runner.settings import COMMAND, MODE, Mode

from .check.findings import WRAPPER
from .check.function_config import FunctionConfig
from .check.read import read_env_file, read_file
from .examples import Example

NODE_SUFFIXES = (".mjs", ".js", ".cjs")
NODE_LOOP = Path(__file__).with_name("node_loop.mjs")
NODE_CLIENT = Path("node_modules/.bin/aws-lambda-ric")
EXPORTS_HANDLER = re.compile(r"\bexports?\b[^\n]*\bhandler\b")
"""In a file of Node: ESM's and CommonJS's forms. What exports none is a program of its own."""

DEMO_HANDLER = (sys.executable, "-m", "awslambdaric", "aws_lambda_post_runner.dev.demo.handler")
DEMO_COMMAND = 'echo "post work for $AWS_LAMBDA_POST_RUNNER_REQUEST_ID"; sleep 2'

EXAMPLES = {
    "Api": Example.APIGW_V2,
    "HttpApi": Example.APIGW_V2,
    "S3": Example.S3,
    "SNS": Example.SNS,
    "SQS": Example.SQS,
    "EventBridgeRule": Example.EVENTBRIDGE,
    "CloudWatchEvent": Example.EVENTBRIDGE,
    "Schedule": Example.EVENTBRIDGE,
    "ScheduleV2": Example.EVENTBRIDGE,
}
"""The example that is nearest to what SAM calls an event source."""


class NoFunctionError(Exception):
    """What was asked for cannot be run; the message says why, and what can."""


@dataclass(frozen=True)
class Wanted:
    """What the command line says."""

    words: Sequence[str]
    """The handler's command; or a handler in Lambda's own form (`app.handler`), `demo` or a template's function."""
    template: Path | None = None
    env_file: Path | None = None
    given: Mapping[str, str] | None = None
    """Settings that are options; they win over all else."""


@dataclass(frozen=True)
class LocalFunction:
    """A function as it is run here."""

    handler: tuple[str, ...]
    environ: Mapping[str, str]
    folder: Path
    timeout_s: float | None = None
    """None where nothing says it."""
    notes: tuple[str, ...] = ()
    """What people should know before they invoke it."""


def find_function(wanted: Wanted, environ: Mapping[str, str]) -> LocalFunction:
    """Return the function that is wanted; `environ` is this process's own.

    Of a variable that is set twice, the nearer counts: an option, then the file, the template, the environment.
    Raises NoFunctionError, UnreadableError or OSError.
    """
    words, config = list(wanted.words), None
    if wanted.template is not None:
        configs = {config.name: config for config in read_file(wanted.template)}
        config = _chosen(configs, words, wanted.template)
        words = words[1:] if words[:1] == [config.name] else words
    from_template = {} if config is None else config.environ
    from_file = {} if wanted.env_file is None else read_env_file(wanted.env_file)
    variables = {**environ, **from_template, **from_file, **(wanted.given or {})}
    # It names a file of Lambda's; here it is we who start the handler.
    variables.pop(WRAPPER, None)
    folder = Path.cwd() if config is None else _folder_of(config, wanted.template)
    if words == ["demo"] and COMMAND.full_name not in variables:
        variables[COMMAND.full_name] = DEMO_COMMAND
    notes = _only_waits(variables)
    if not words and config is not None:
        words, handler_notes = _from_template(config, folder)
    else:
        words, handler_notes = _from_words(words, folder)
    _check_program(words[0], variables.get("PATH"))
    sources = () if config is None else tuple(map(_how_to_send, config.event_sources))
    return LocalFunction(
        handler=tuple(words),
        environ=variables,
        folder=folder,
        timeout_s=None if config is None else config.timeout_s,
        notes=(*handler_notes, *notes, *filter(None, dict.fromkeys(sources))),
    )


def _chosen(configs: Mapping[str, FunctionConfig], words: list[str], template: Path) -> FunctionConfig:
    """Return the function of a template that the first word names, or its only one."""
    if words and words[0] in configs:
        return configs[words[0]]
    if len(configs) != 1:
        names = ", ".join(configs) or "none"
        raise NoFunctionError(f"say which function of {template} to run; it has: {names}")
    [config] = configs.values()
    return config


def _folder_of(config: FunctionConfig, template: Path | None) -> Path:
    if config.code.path is not None and config.code.path.is_dir():
        return config.code.path.resolve()
    return Path.cwd() if template is None else template.parent.resolve()


def _only_waits(variables: dict[str, str]) -> list[str]:
    """Without a post command, have only the handler's own waits: a first handler must not fail for want of one."""
    if variables.get(COMMAND.full_name) or variables.get(MODE.full_name):
        return []
    variables[MODE.full_name] = Mode.WAIT_UNTIL.value
    return [
        "no post command: after an answer runs only what the handler asks to wait for; --command sets one"
    ]


def _from_template(config: FunctionConfig, folder: Path) -> tuple[list[str], list[str]]:
    runtime = config.runtime or "an image"
    if config.handler and runtime.startswith("python"):
        return _python(config.handler)
    if config.handler and runtime.startswith("nodejs"):
        return _node(*_file_and_name(config.handler, folder), folder)
    raise NoFunctionError(f"{config.name} runs on {runtime}: say what starts its handler, after `--`")


def _from_words(words: list[str], folder: Path) -> tuple[list[str], list[str]]:
    match words:
        case []:
            raise NoFunctionError(
                "say what starts the handler: dev -- python -m awslambdaric app.handler, or dev demo"
            )
        case ["demo"]:
            return _python("demo")
        case [node, file] if Path(node).name == "node" and _exports_handler(folder / file):
            return _node(Path(file), "handler", folder)
        case [name] if "." in name and shutil.which(name) is None and not Path(name).exists():
            if (folder / f"{name.rpartition('.')[0]}.py").exists():
                return _python(name)
            return _node(*_file_and_name(name, folder), folder)
    return words, []


def _check_program(word: str, path: str | None) -> None:
    """Refuse a bare word that the handler's PATH has not: it is often a handler's name cut short."""
    if "/" not in word and shutil.which(word, path=path) is None:
        raise NoFunctionError(
            f"{word}: there is no such program; say what starts the handler, or its name such as app.handler"
        )


def _python(handler: str) -> tuple[list[str], list[str]]:
    if importlib.util.find_spec("awslambdaric") is None:
        raise NoFunctionError(f"{handler} runs under awslambdaric: pip install awslambdaric")
    if handler == "demo":
        return list(DEMO_HANDLER), []
    return [sys.executable, "-m", "awslambdaric", handler], []


def _node(file: Path, name: str, folder: Path) -> tuple[list[str], list[str]]:
    """Run a handler under the client that its project has, or else under a loop of ours."""
    for place in ((folder / file).resolve().parent, *(folder / file).resolve().parents):
        if (place / NODE_CLIENT).exists():
            return ["node", str(place / NODE_CLIENT), f"{file.with_suffix('')}.{name}"], []
    note = "no aws-lambda-ric is installed here, so a small loop of our own runs the handler"
    return ["node", str(NODE_LOOP), str(file), name], [note]


def _file_and_name(handler: str, folder: Path) -> tuple[Path, str]:
    """Take Lambda's form apart, `folder/app.handler`, and find the file."""
    stem, _, name = handler.rpartition(".")
    for suffix in NODE_SUFFIXES:
        if (folder / f"{stem}{suffix}").exists():
            return Path(f"{stem}{suffix}"), name
    looked_for = ", ".join(f"{stem}{suffix}" for suffix in (".py", *NODE_SUFFIXES))
    raise NoFunctionError(f"{handler}: there is no such program, and none of {looked_for} in {folder}")


def _exports_handler(file: Path) -> bool:
    return file.suffix in NODE_SUFFIXES and file.exists() and bool(EXPORTS_HANDLER.search(file.read_text()))


def _how_to_send(source: str) -> str:
    example = EXAMPLES.get(source)
    return (
        f"{source} invokes it as aws-lambda-post-runner invoke --example {example.value} does"
        if example
        else ""
    )
