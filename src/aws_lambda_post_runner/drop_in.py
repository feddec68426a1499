"""The form that layers and containers use: settings from the environment, the handler's command as arguments.

Nothing here imports the command line, which the executable of the layers does not have.
"""

import gc
import os
from collections.abc import Mapping, Sequence
from functools import partial

import trio

from .exits import NOT_FOUND, why_not_started
from .first_process import run_as_child
from .origin import given_environment, heed_what_python_ignores, let_interrupts_end_us
from .proxy.init_error import report_init_error
from .report import Report
from .runtime_api import ADDRESS_VARIABLE
from .settings import (
    DISABLED,
    NEXT_WRAPPER,
    Level,
    Settings,
    SettingsError,
    parse_address,
    read,
    unknown_variables,
    wants_json,
)
from .supervisor import supervise

EX_CONFIGURATION = 1


def run(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the handler `argv`; return the status to exit with.

    Does not return where there is nothing for us to do: the handler then takes our place, with the
    environment and the signals that we were given.
    """
    let_interrupts_end_us()
    environment = given_environment(environment)
    reason = environment.get(DISABLED.full_name, "").strip()
    report = Report(Level.WARN, json_log=wants_json(environment))
    if reason:
        report.warn(f"disabled by {DISABLED.full_name} ({reason}); the handler runs without us")
        return _take_our_place(argv, environment, report)
    if not environment.get(ADDRESS_VARIABLE):
        return _take_our_place(argv, environment, report)  # no Lambda, so nothing to be between
    try:
        settings = read(environment)
    except SettingsError as error:
        return _refuse(error, environment, report)
    run_handler = partial(run_with, settings, argv, environment)
    return run_as_child(run_handler) if os.getpid() == 1 else run_handler()


def run_with(settings: Settings, argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run the handler `argv` under these settings; return the status to exit with."""
    for line in unknown_variables(environment):
        Report(settings.level, json_log=settings.json_log).warn(line)

    gc.freeze()  # what is imported stays: it need not be looked through again, least of all at the exit
    return trio.run(supervise, settings, argv, environment)


def _take_our_place(argv: Sequence[str], environment: Mapping[str, str], report: Report) -> int:
    wrapper = environment.get(NEXT_WRAPPER.full_name, "").strip()
    try:
        program = [*filter(None, [NEXT_WRAPPER.parse(wrapper)]), *argv]
    except ValueError as error:
        report.warn(f"{NEXT_WRAPPER.full_name} is {wrapper!r} ({error}); the handler is started without it")
        program = [*argv]
    heed_what_python_ignores()
    try:
        os.execvpe(program[0], program, environment)  # noqa: S606 - no shell is the point
    except OSError as error:
        message, status = why_not_started(error, program[0])
        report.error(f"the handler cannot be started: {message}")
        return status
    except ValueError as error:  # its name is empty
        report.error(f"the handler cannot be started: {error}")
        return NOT_FOUND


def _refuse(error: SettingsError, environment: Mapping[str, str], report: Report) -> int:
    """Say what is wrong, on standard error and in the function's answer."""
    for line in unknown_variables(environment):
        report.warn(line)
    for line in error.lines:
        report.error(f"{line}; the handler is not started")
    address = parse_address(environment[ADDRESS_VARIABLE])
    if address is not None:
        trio.run(report_init_error, address, "; ".join(error.lines))
    return EX_CONFIGURATION
