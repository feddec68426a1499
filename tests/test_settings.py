"""What the environment says becomes settings, or one clear line for each thing that is wrong."""

import pytest

from aws_lambda_post_runner.settings import (
    COMMAND,
    MODE,
    PREFIX,
    VARIABLES,
    Level,
    Mode,
    Settings,
    SettingsError,
    Variable,
    read,
    unknown_variables,
)

ADDRESS = "127.0.0.1:9001"


def settings_of(**variables: str) -> Settings:
    ours = {PREFIX + name: value for name, value in {"COMMAND": "true", **variables}.items()}
    return read({"AWS_LAMBDA_RUNTIME_API": ADDRESS, **ours})


def problems_of(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        settings_of(**variables)
    return caught.value.lines


def test_the_command_alone_is_enough() -> None:
    settings = settings_of()
    assert settings.command == "true"
    assert settings.modes == {Mode.AFTER_RESPONSE, Mode.AFTER_ERROR}
    assert settings.shell == "/bin/bash"
    assert settings.level is Level.WARN
    assert settings.runtime_api == ("127.0.0.1", 9001)
    assert (settings.timeout, settings.margin, settings.grace) == (None, 0.5, 0.2)
    assert settings.max_concurrency is None


@pytest.mark.parametrize(
    ("text", "modes"),
    [
        ("AfterResponse", {Mode.AFTER_RESPONSE}),
        ("AfterError", {Mode.AFTER_ERROR}),
        ("AfterResponse,AfterError", {Mode.AFTER_RESPONSE, Mode.AFTER_ERROR}),
        (" AfterResponse , AfterError ", {Mode.AFTER_RESPONSE, Mode.AFTER_ERROR}),
        ("OnRequest,AfterError", {Mode.ON_REQUEST, Mode.AFTER_ERROR}),
        ("aftererror,", {Mode.AFTER_ERROR}),
        ("BeforeTimeout", {Mode.BEFORE_TIMEOUT}),
    ],
)
def test_modes_may_be_several_with_spaces(text: str, modes: set[Mode]) -> None:
    assert settings_of(MODE=text).modes == modes


@pytest.mark.parametrize(
    ("text", "seconds"), [("500ms", 0.5), ("30s", 30.0), ("2m", 120.0), ("1.5s", 1.5), ("0s", 0.0)]
)
def test_durations_have_a_unit(text: str, seconds: float) -> None:
    assert settings_of(TIMEOUT=text).timeout == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["5/60s", " 5 / 1m "])
def test_the_breaker_has_a_number_and_a_pause(text: str) -> None:
    assert settings_of(BREAKER=text).breaker == (5, 60.0)


def test_without_being_asked_for_nothing_is_skipped_or_run_again() -> None:
    settings = settings_of()
    assert (settings.breaker, settings.retries, settings.fallback_command) == (None, 0, "")
    assert settings.metrics is False


@pytest.mark.parametrize(("text", "size"), [("6MiB", 6 << 20), ("512KiB", 512 << 10), ("1000", 1000)])
def test_sizes_may_have_a_unit(text: str, size: int) -> None:
    assert settings_of(CAPTURE_LIMIT=text).capture_limit == size


@pytest.mark.parametrize(
    ("name", "text", "hint"),
    [
        ("MODE", "AfterRespons", "did you mean AfterResponse?"),
        ("MODE", ",", ""),
        ("MODE", "never", ""),
        ("LOG_LEVEL", "debgu", "did you mean DEBUG?"),
        ("TIMEOUT", "30", "the unit is missing"),
        ("TIMEOUT", "-1s", ""),
        ("TIMEOUT", "nans", ""),
        ("MARGIN", "soon", ""),
        ("GRACE", "1h", ""),
        ("CAPTURE", "evnt", "did you mean event?"),
        ("CAPTURE", ",", ""),
        ("CAPTURE_LIMIT", "6MB", ""),
        ("TIMEOUT", "9" * 400 + "s", ""),
        ("CAPTURE_LIMIT", "9" * 5000, ""),
        ("BREAKER", "5", "the pause is missing"),
        ("BREAKER", "0/60s", "it would skip every command"),
        ("BREAKER", "5/60", "the unit is missing"),
        ("BREAKER", "-1/60s", ""),
        ("BREAKER", "/60s", ""),
        ("RETRIES", "two", ""),
        ("RETRIES", "-1", ""),
        ("RETRIES", "1.5", ""),
        ("FALLBACK_RESERVE", "soon", ""),
        ("METRICS", "emd", "did you mean emf?"),
        ("SPANS", "oltp", "did you mean otlp?"),
        ("METRICS_NAMESPACE", "AWS/Lambda", "no namespace of one's own"),
        ("METRICS_NAMESPACE", "x" * 256, ""),
        ("METRICS_NAMESPACE", "a\tb", ""),
        ("METRICS_NAMESPACE", "${b}", ""),
        ("METRICS_NAMESPACE", ":b", "no namespace of one's own"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_valid(name: str, text: str, hint: str) -> None:
    [line] = problems_of(**{name: text})
    assert line.startswith(f"{PREFIX}{name} is {text!r}")
    assert "; valid: " in line
    assert hint in line


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
@pytest.mark.parametrize("text", ["", "  "])
def test_a_setting_that_is_empty_is_not_set(variable: Variable[object], text: str) -> None:
    needed = {"AWS_LAMBDA_RUNTIME_API": ADDRESS, PREFIX + "MODE": "WaitUntil"}
    unset = {name: value for name, value in needed.items() if name != variable.full_name}
    if variable is MODE:
        unset[COMMAND.full_name] = "true"
    assert read({**unset, variable.full_name: text}) == read(unset)


@pytest.mark.parametrize(("environ", "seen"), [({}, "not set"), ({PREFIX + "COMMAND": "  "}, "empty")])
def test_a_command_is_needed(environ: dict[str, str], seen: str) -> None:
    with pytest.raises(SettingsError, match=f"{PREFIX}COMMAND is {seen}"):
        read({"AWS_LAMBDA_RUNTIME_API": ADDRESS, **environ})


def test_mode_wait_until_alone_needs_no_command() -> None:
    settings = read({"AWS_LAMBDA_RUNTIME_API": ADDRESS, PREFIX + "MODE": "WaitUntil"})
    assert settings.command == ""


def test_all_that_is_wrong_is_said_at_once() -> None:
    assert len(problems_of(COMMAND="", MODE="x", TIMEOUT="y")) == 3


@pytest.mark.parametrize("address", ["nowhere", ":80", "host:", "host:x", "host:70000", "host:" + "9" * 5000])
def test_an_address_that_is_none_is_named(address: str) -> None:
    with pytest.raises(SettingsError, match="AWS_LAMBDA_RUNTIME_API is"):
        read({"AWS_LAMBDA_RUNTIME_API": address, PREFIX + "COMMAND": "true"})


def test_an_ipv6_address_is_read() -> None:
    settings = read({"AWS_LAMBDA_RUNTIME_API": "[::1]:9001", PREFIX + "COMMAND": "true"})
    assert settings.runtime_api == ("::1", 9001)


@pytest.mark.parametrize(
    ("ours", "lambdas", "level"),
    [
        ("debug", "ERROR", Level.DEBUG),
        (None, "ERROR", Level.ERROR),
        (None, "info", Level.INFO),
        (None, "nonsense", Level.WARN),
        (None, None, Level.WARN),
    ],
)
def test_our_log_level_goes_before_lambdas(ours: str | None, lambdas: str | None, level: Level) -> None:
    environ = {"AWS_LAMBDA_RUNTIME_API": ADDRESS, PREFIX + "COMMAND": "true"}
    if ours is not None:
        environ[PREFIX + "LOG_LEVEL"] = ours
    if lambdas is not None:
        environ["AWS_LAMBDA_LOG_LEVEL"] = lambdas
    assert read(environ).level is level


def test_what_lambda_sets_is_never_an_error() -> None:
    environ = {"AWS_LAMBDA_RUNTIME_API": ADDRESS, PREFIX + "COMMAND": "true"}
    assert read({**environ, "AWS_LAMBDA_MAX_CONCURRENCY": "16"}).max_concurrency == 16
    assert read({**environ, "AWS_LAMBDA_MAX_CONCURRENCY": "many"}).max_concurrency is None
    assert read({**environ, "AWS_LAMBDA_MAX_CONCURRENCY": "9" * 5000}).max_concurrency is None
    assert read({**environ, "AWS_LAMBDA_LOG_FORMAT": "json"}).json_log


def test_a_misspelt_variable_is_told_with_the_nearest_name() -> None:
    environ = {PREFIX + "COMAND": "true", PREFIX + "MODE": "AfterError", "OTHER": ""}
    assert unknown_variables(environ) == [
        f"{PREFIX}COMAND is not a setting (did you mean {PREFIX}COMMAND?); it is ignored"
    ]
