"""What is effective of a function's settings, and what is wrong with them. Pure but for a look at local files.

What each setting means and which values are valid is known to `settings`; here is what only shows in context.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from aws_lambda_post_runner import settings
from aws_lambda_post_runner.runtime_api import ADDRESS_VARIABLE

from .function_config import FunctionConfig, Value

WRAPPER = "AWS_LAMBDA_EXEC_WRAPPER"
OUR_WRAPPER = "/opt/entry.sh"
"""Where the layer has it."""
LAMBDA_SHELLS = {"/bin/bash", "/bin/sh"}
MEANT_CUTOFF = 0.85
"""How like a name must be to one of ours. Lambda's own names reach 0.77, one of ours with a letter amiss 0.98."""
KNOWN = [variable.full_name for variable in settings.VARIABLES]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong: an error would fail or be ignored in silence, the rest is worth a thought."""

    is_error: bool
    text: str


def concerns_us(config: FunctionConfig) -> bool:
    """Tell whether a function uses the post runner, or means to."""
    return any(_is_meant_for_us(name) for name in config.variables) or _text(config, WRAPPER) == OUR_WRAPPER


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
        *_short_budget(config),
        *_wrong_shell(config),
        *_disabled(config),
    ]
    return sorted(found, key=lambda finding: not finding.is_error)


def _wrong_values(config: FunctionConfig) -> Iterable[Finding]:
    if settings.COMMAND.full_name in config.variables and _text(config, settings.COMMAND.full_name) is None:
        environ = config.environ | {settings.COMMAND.full_name: "decided at deployment"}
    else:
        environ = config.environ
    try:
        settings.read(environ | {ADDRESS_VARIABLE: "127.0.0.1:9001"})
    except settings.SettingsError as problem:
        yield from (Finding(is_error=True, text=line) for line in problem.lines)


def _unknown_names(config: FunctionConfig) -> Iterable[Finding]:
    for name in config.variables:
        if name == settings.OBSERVER_FD.full_name:
            yield Finding(is_error=True, text=f"{name} is for `dev` alone; take it out")
        elif _is_meant_for_us(name) and name not in KNOWN:
            near = get_close_matches(name.upper(), KNOWN, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            yield Finding(is_error=True, text=f"{name} is not a setting and is ignored{hint}")
    if config.deployed and ADDRESS_VARIABLE in config.variables:
        yield Finding(is_error=True, text=f"{ADDRESS_VARIABLE} is Lambda's own; a function cannot set it")


def _wrong_wrapper(config: FunctionConfig) -> Iterable[Finding]:
    wrapper = _text(config, WRAPPER)
    next_name = settings.NEXT_WRAPPER.full_name
    next_wrapper = _text(config, next_name)
    if next_wrapper == OUR_WRAPPER:
        yield Finding(is_error=True, text=f"{next_name} is our own wrapper; it is for another one")
    if not config.deployed:
        if next_wrapper and not os.access(next_wrapper, os.X_OK):
            yield Finding(
                is_error=True, text=f"{next_name} is {next_wrapper!r}, which cannot be executed here"
            )
        return
    if wrapper == OUR_WRAPPER and config.layers == ():
        text = f"{WRAPPER} is {OUR_WRAPPER}, but no layer is attached that could bring it: "
        yield Finding(is_error=True, text=f"{text}the function would fail to start; add the layer to Layers")
    if config.runtime.startswith("provided"):
        if wrapper:
            text = f"{config.runtime} ignores {WRAPPER}: let its bootstrap be `/opt/aws-lambda-post-runner HANDLER`"
            yield Finding(is_error=True, text=text)
    elif wrapper and wrapper != OUR_WRAPPER:
        text = f"{WRAPPER} is {wrapper!r}, so the post runner never starts: set it to {OUR_WRAPPER}, and "
        yield Finding(is_error=True, text=f"{text}{next_name} to {wrapper}")
    elif config.runtime and WRAPPER not in config.variables:
        text = f"{WRAPPER} is not set, so the post runner never starts: set it to {OUR_WRAPPER}"
        yield Finding(is_error=True, text=text)


def _short_budget(config: FunctionConfig) -> Iterable[Finding]:
    margin = _seconds(config, settings.MARGIN)
    grace = _seconds(config, settings.GRACE)
    if margin is not None and grace is not None and grace >= margin:
        text = f"the grace ({grace:g} s) is not less than the margin ({margin:g} s): a command that ignores SIGTERM "
        yield Finding(is_error=False, text=f"{text}would be there at the function's deadline")
    if margin is None or config.timeout_s is None:
        return
    budget = config.timeout_s - margin
    given = _seconds(config, settings.TIMEOUT)
    if budget <= 0:
        text = f"the function's timeout ({config.timeout_s:g} s) less the margin ({margin:g} s) leaves the command "
        yield Finding(is_error=True, text=f"{text}no time")
    elif given is not None and given > budget:
        text = f"{settings.TIMEOUT.full_name} ({given:g} s) is more than the function's timeout leaves"
        yield Finding(is_error=False, text=f"{text} ({budget:g} s at most), so that is what counts")


def _wrong_shell(config: FunctionConfig) -> Iterable[Finding]:
    shell = _text(config, settings.SHELL.full_name) or settings.SHELL.default
    if config.deployed:
        if shell not in LAMBDA_SHELLS:
            text = f"the shell {shell} must come with a layer or the image: Lambda itself has /bin/bash and /bin/sh"
            yield Finding(is_error=False, text=text)
    elif not os.access(shell, os.X_OK):
        yield Finding(is_error=True, text=f"the shell {shell} is not there or cannot be executed")


def _disabled(config: FunctionConfig) -> Iterable[Finding]:
    reason = _text(config, settings.DISABLED.full_name)
    if reason:
        yield Finding(is_error=False, text=f"the post runner is disabled: {reason}")


def _is_meant_for_us(name: str) -> bool:
    if "POSTRUNNER" in name.upper().replace("_", "").replace("-", ""):
        return True
    return bool(get_close_matches(name.upper(), KNOWN, n=1, cutoff=MEANT_CUTOFF))


def _text(config: FunctionConfig, name: str) -> str | None:
    value = config.variables.get(name)
    return None if value is None else value.text


def _seconds(
    config: FunctionConfig, variable: "settings.Variable[float] | settings.Variable[float | None]"
) -> float | None:
    """Return a duration; None where there is none, or none that can be read (which is found elsewhere)."""
    text = _text(config, variable.full_name)
    try:
        return variable.parse(variable.default if text is None else text.strip())
    except ValueError:
        return None
