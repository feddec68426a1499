"""What is effective of a function's settings, and what is wrong with them. Pure but for a look at local files.

What each setting means and which values are valid is known to `settings`; here is what only shows in context.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from aws_lambda_post_runner import settings
from aws_lambda_post_runner.runtime_api import ADDRESS_VARIABLE
from aws_lambda_post_runner.settings import Mode

from .function_config import RUNTIME_CONFIG, FunctionConfig, Value
from .package import Found, file_of, look_for

WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
OUR_WRAPPER = "/opt/entry.sh"
"""Where the layer has it."""
OUR_PROGRAM = "aws-lambda-post-runner"
CUSTOMER_MANAGED = "custom"
"""The Runtime of a function whose runtime is an image of somebody's; RuntimeConfig says whose."""
LAMBDA_SHELLS = {"/bin/bash", "/bin/sh"}
PROCESSORS = {"x86_64": "x86_64", "amd64": "x86_64", "arm64": "arm64", "aarch64": "arm64"}
"""How processors are called in a layer's name, and what Lambda calls them."""
MEANT_CUTOFF = 0.85
"""How like a name must be to one of ours. Lambda's own names reach 0.77, one of ours with a letter amiss 0.98."""
KNOWN = [variable.full_name for variable in settings.VARIABLES]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: an error would fail or be ignored in silence, the rest is worth a thought."""

    is_error: bool
    text: str
    place: str = ""
    """The file and the line, `template.yaml:12`, where there are any."""


def concerns_us(config: FunctionConfig) -> bool:
    """Tell whether a function uses the post runner, or means to."""
    started_by = (_text(config, WRAPPER) or "", *(config.entry or ()))
    return any(map(_is_meant_for_us, config.variables)) or any(map(_names_us, started_by))


def effective(config: FunctionConfig) -> list[tuple[str, Value]]:
    """Return each setting's value with where it comes from, in the order in which `settings` has them."""
    return [
        (variable.full_name, config.variables.get(variable.full_name, Value(variable.default, "default")))
        for variable in settings.VARIABLES
    ]


def findings(config: FunctionConfig) -> list[Finding]:
    """Return all that is wrong, errors first."""
    found = [
        *_wrong_values(config),
        *_unknown_names(config),
        *_wrong_wrapper(config),
        *_wrong_start(config),
        *_wrong_customer_runtime(config),
        *_wrong_layer(config),
        *_missing_commands(config),
        *_short_budget(config),
        *_no_time_before_timeout(config),
        *_wrong_shell(config),
        *_idle_settings(config),
        *_disabled(config),
    ]
    return sorted(found, key=lambda finding: not finding.is_error)


def _error(config: FunctionConfig, name: str, text: str) -> Finding:
    """Return what is wrong with a variable, or with the function if it has none of that name."""
    return Finding(is_error=True, text=text, place=config.place_of(name))


def _doubt(config: FunctionConfig, name: str, text: str) -> Finding:
    return Finding(is_error=False, text=text, place=config.place_of(name))


def _wrong_values(config: FunctionConfig) -> Iterable[Finding]:
    if settings.COMMAND.full_name in config.variables and _text(config, settings.COMMAND.full_name) is None:
        environ = config.environ | {settings.COMMAND.full_name: "decided at deployment"}
    else:
        environ = config.environ
    try:
        settings.read(environ | {ADDRESS_VARIABLE: "127.0.0.1:9001"})
    except settings.SettingsError as problem:
        # Each line begins with the variable's name.
        yield from (_error(config, line.partition(" ")[0], line) for line in problem.lines)


def _unknown_names(config: FunctionConfig) -> Iterable[Finding]:
    for name in config.variables:
        if name == settings.OBSERVER_FD.full_name:
            yield _error(config, name, f"{name} is for `dev` alone; take it out")
        elif _is_meant_for_us(name) and name not in KNOWN:
            near = get_close_matches(name.upper(), KNOWN, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield _error(config, name, f"{name} is not a setting and is ignored{hint}")
    if config.deployed and ADDRESS_VARIABLE in config.variables:
        text = f"{ADDRESS_VARIABLE} is Lambda's own; a function cannot set it"
        yield _error(config, ADDRESS_VARIABLE, text)


def _wrong_wrapper(config: FunctionConfig) -> Iterable[Finding]:
    """Look at another wrapper that ours is to start."""
    name = settings.NEXT_WRAPPER.full_name
    wrapper = _text(config, name)
    if wrapper == OUR_WRAPPER:
        yield _error(config, name, f"{name} is our own wrapper; it is for another one")
    elif wrapper and not config.deployed and not os.access(wrapper, os.X_OK):
        yield _error(config, name, f"{name} is {wrapper!r}, which cannot be executed here")


def _wrong_start(config: FunctionConfig) -> Iterable[Finding]:
    """See that Lambda starts us at all."""
    wrapper = _text(config, WRAPPER)
    if not config.deployed:
        return
    if config.entry is not None:
        if not _names_us(wrapper or "") and not any(map(_names_us, config.entry)):
            text = f"nothing starts the post runner: put {OUR_PROGRAM} before the handler's command in ENTRYPOINT"
            yield _error(config, WRAPPER, text)
    elif config.runtime.startswith("provided"):
        yield from _wrong_bootstrap(config)
    elif config.runtime == CUSTOMER_MANAGED:
        yield from _unknown_start(config)
    elif wrapper and wrapper != OUR_WRAPPER:
        text = f"{WRAPPER} is {wrapper!r}, so the post runner never starts: set it to {OUR_WRAPPER}, and "
        yield _error(config, WRAPPER, f"{text}{settings.NEXT_WRAPPER.full_name} to {wrapper}")
    elif config.runtime and WRAPPER not in config.variables:
        text = f"{WRAPPER} is not set, so the post runner never starts: set it to {OUR_WRAPPER}"
        yield _error(config, WRAPPER, text)


def _wrong_bootstrap(config: FunctionConfig) -> Iterable[Finding]:
    """A custom runtime is started by its own bootstrap, which has to name us."""
    way = f"let its bootstrap be `/opt/{OUR_PROGRAM} HANDLER`"
    if _text(config, WRAPPER):
        yield _error(config, WRAPPER, f"{config.runtime} ignores {WRAPPER}: {way}")
    bootstrap = config.code.path / "bootstrap" if config.code.path is not None else None
    if bootstrap is not None and bootstrap.is_file() and OUR_PROGRAM.encode() not in bootstrap.read_bytes():
        text = f"{config.runtime} starts {bootstrap}, which does not name the post runner: {way}"
        yield _doubt(config, WRAPPER, text)


def _unknown_start(config: FunctionConfig) -> Iterable[Finding]:
    """A customer-managed runtime's image decides what starts the handler, and it cannot be seen from here."""
    wrapper = _text(config, WRAPPER)
    if wrapper and _names_us(wrapper):
        text = f"{WRAPPER} is heeded if the runtime's bootstrap heeds it: those of Lambda's base images do"
    else:
        text = (
            "the post runner starts only if the runtime's image starts it: `template runtime` makes one that does; "
            f"otherwise add the layer, and set {WRAPPER} to {OUR_WRAPPER}"
        )
    yield _doubt(config, WRAPPER, text)


def _wrong_customer_runtime(config: FunctionConfig) -> Iterable[Finding]:
    """Lambda takes `Runtime: custom` and RuntimeConfig together or not at all."""
    if config.runtime_config is None:
        return
    missing = [name for name in RUNTIME_CONFIG if name not in config.runtime_config]
    if config.runtime == CUSTOMER_MANAGED and missing:
        text = f"Runtime is {CUSTOMER_MANAGED}, but RuntimeConfig has no {' and no '.join(missing)}"
        yield _error(config, "", f"{text}: the function could not be deployed")
    elif config.runtime_config and config.runtime != CUSTOMER_MANAGED:
        runtime = config.runtime or "not set"
        text = f"RuntimeConfig goes with Runtime: {CUSTOMER_MANAGED} alone, and Runtime is {runtime}"
        yield _error(config, "", f"{text}: the function could not be deployed")


def _wrong_layer(config: FunctionConfig) -> Iterable[Finding]:
    if not config.deployed or config.layers is None or config.entry is not None:
        return
    if _text(config, WRAPPER) == OUR_WRAPPER and not config.layers:
        text = f"{WRAPPER} is {OUR_WRAPPER}, but no layer is attached that could bring it: "
        yield _error(config, WRAPPER, f"{text}the function would fail to start; add the layer to Layers")
    for layer in config.layers:
        fitting = config.layer_processors.get(layer) or _processors_in(layer)
        if config.processor and fitting and config.processor not in fitting:
            text = f"the layer {layer} is for {' and '.join(fitting)}, but the function runs on {config.processor}"
            yield _error(config, WRAPPER, text)


def _processors_in(layer: str) -> tuple[str, ...]:
    """Return what the name of a layer of ours says; nothing of other people's layers."""
    if "post-runner" not in layer.lower() and "postrunner" not in layer.lower():
        return ()
    return tuple({processor for word, processor in PROCESSORS.items() if word in layer.lower()})


def _missing_commands(config: FunctionConfig) -> Iterable[Finding]:
    """Look for the files that the commands start with: without one, its command would end with 127."""
    for variable in (settings.COMMAND, settings.FALLBACK_COMMAND):
        yield from _missing_command(config, variable.full_name)


def _missing_command(config: FunctionConfig, name: str) -> Iterable[Finding]:
    file = file_of(_text(config, name) or "")
    if file is None or not config.deployed:
        return
    where = "the template's inline code" if config.code.inline else config.code.path
    match look_for(file, config.code):
        case Found.NO if config.entry is not None:
            yield _doubt(
                config, name, f"{name} starts {file}, which no COPY brings; is it in the base image?"
            )
        case Found.NO:
            text = f"{name} starts {file}, which is not in {where}: the command would end with 127"
            yield _error(config, name, text)
        case Found.NOT_EXECUTABLE:
            text = f"{name} starts {file}, which is in {where} but cannot be executed: chmod +x {file}"
            yield _error(config, name, text)


def _short_budget(config: FunctionConfig) -> Iterable[Finding]:
    margin = _seconds(config, settings.MARGIN)
    grace = _seconds(config, settings.GRACE)
    if margin is not None and grace is not None and grace >= margin:
        text = f"the grace ({grace:g} s) is not less than the margin ({margin:g} s): a command that ignores SIGTERM "
        yield _doubt(config, settings.GRACE.full_name, f"{text}would be there at the function's deadline")
    if margin is None or config.timeout_s is None:
        return
    budget = config.timeout_s - margin
    given = _seconds(config, settings.TIMEOUT)
    if budget <= 0:
        text = f"the function's timeout ({config.timeout_s:g} s) less the margin ({margin:g} s) leaves the command "
        yield _error(config, settings.MARGIN.full_name, f"{text}no time")
    elif given is not None and given > budget:
        name = settings.TIMEOUT.full_name
        text = f"{name} ({given:g} s) is more than the function's timeout leaves"
        yield _doubt(config, name, f"{text} ({budget:g} s at most), so that is what counts")


def _no_time_before_timeout(config: FunctionConfig) -> Iterable[Finding]:
    margin = _seconds(config, settings.MARGIN)
    grace = _seconds(config, settings.GRACE)
    if margin is None or grace is None or grace < margin or Mode.BEFORE_TIMEOUT not in _modes(config):
        return
    name = settings.MODE.full_name
    text = f"{name} has BeforeTimeout, whose command begins {settings.MARGIN.full_name} ({margin:g} s) before the "
    text += f"timeout and has to end {settings.GRACE.full_name} ({grace:g} s) before it: it would never be started"
    yield _error(config, name, text)


def _wrong_shell(config: FunctionConfig) -> Iterable[Finding]:
    name = settings.SHELL.full_name
    shell = _text(config, name) or settings.SHELL.default
    if config.deployed:
        if shell not in LAMBDA_SHELLS:
            text = f"the shell {shell} must come with a layer or the image: Lambda itself has /bin/bash and /bin/sh"
            yield _doubt(config, name, text)
    elif not os.access(shell, os.X_OK):
        yield _error(config, name, f"the shell {shell} is not there or cannot be executed")


NEEDS = (
    (settings.FALLBACK_RESERVE, settings.FALLBACK_COMMAND),
    (settings.METRICS_NAMESPACE, settings.METRICS),
)
"""Settings that do nothing without another one."""
FOR_COMMANDS = (settings.BREAKER, settings.RETRIES, settings.FALLBACK_COMMAND)


def _idle_settings(config: FunctionConfig) -> Iterable[Finding]:
    """Look for settings that do nothing beside the others."""
    for variable, needed in NEEDS:
        if _text(config, variable.full_name) and not _is_set(config, needed.full_name):
            text = f"{variable.full_name} does nothing without {needed.full_name}"
            yield _doubt(config, variable.full_name, text)
    mode = _text(config, settings.MODE.full_name) or ""
    modes = _modes(config)
    if not modes or not modes <= {Mode.WAIT_UNTIL, Mode.BEFORE_TIMEOUT}:
        return
    for each in FOR_COMMANDS:
        if _text(config, each.full_name):
            text = f"{each.full_name} does nothing: in mode {mode} no command runs after the answer"
            yield _doubt(config, each.full_name, text)


def _disabled(config: FunctionConfig) -> Iterable[Finding]:
    name = settings.DISABLED.full_name
    if reason := _text(config, name):
        yield _doubt(config, name, f"the post runner is disabled: {reason}")


def _names_us(word: str) -> bool:
    return Path(word).name == OUR_PROGRAM or word == OUR_WRAPPER


def _is_meant_for_us(name: str) -> bool:
    if "POSTRUNNER" in name.upper().replace("_", "").replace("-", ""):
        return True
    return bool(get_close_matches(name.upper(), KNOWN, n=1, cutoff=MEANT_CUTOFF))


def _is_set(config: FunctionConfig, name: str) -> bool:
    """Tell whether a variable has a value, or will have one that is decided at deployment."""
    return name in config.variables and _text(config, name) != ""


def _text(config: FunctionConfig, name: str) -> str | None:
    value = config.variables.get(name)
    return None if value is None else value.text


def _modes(config: FunctionConfig) -> frozenset[Mode]:
    """Return the modes; none where they cannot be read (which is found elsewhere)."""
    text = _text(config, settings.MODE.full_name) or settings.MODE.default
    try:
        return settings.MODE.parse(text.strip())
    except ValueError:
        return frozenset()


def _seconds(
    config: FunctionConfig, variable: "settings.Variable[float] | settings.Variable[float | None]"
) -> float | None:
    """Return a duration; None where there is none, or none that can be read (which is found elsewhere)."""
    text = _text(config, variable.full_name)
    try:
        return variable.parse(variable.default if text is None else text.strip())
    except ValueError:
        return None
