"""`check` finds settings for production that do nothing, and a fallback command that is not there."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from aws_lambda_post_runner.dev.check.findings import findings
from aws_lambda_post_runner.dev.check.function_config import Code, FunctionConfig, Value
from aws_lambda_post_runner.settings import PREFIX


def config(settings: Mapping[str, str], code: Path | None = None) -> FunctionConfig:
    variables = {PREFIX + name: Value(text, "here") for name, text in settings.items()}
    if code is None:
        return FunctionConfig("f", variables, 30.0)
    wrapper = {"AWS_LAMBDA_EXEC_WRAPPER": Value("/opt/entry.sh", "here")}
    return FunctionConfig("f", variables | wrapper, 30.0, "python3.13", deployed=True, code=Code(code))


@pytest.mark.parametrize(
    "settings",
    [
        {"FALLBACK_COMMAND": "true", "FALLBACK_RESERVE": "2s"},
        {"METRICS": "emf", "METRICS_NAMESPACE": "Shop"},
        {"BREAKER": "5/60s", "RETRIES": "2", "SPANS": "otlp"},
        {"BREAKER": "5/60s", "MODE": "WaitUntil,AfterError"},
    ],
)
def test_nothing_is_found_where_each_setting_does_something(settings: dict[str, str]) -> None:
    assert findings(config({"COMMAND": "true", **settings})) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"FALLBACK_RESERVE": "2s"}, f"FALLBACK_RESERVE does nothing without {PREFIX}FALLBACK_COMMAND"),
        ({"METRICS_NAMESPACE": "Shop"}, f"METRICS_NAMESPACE does nothing without {PREFIX}METRICS"),
        ({"MODE": "WaitUntil", "BREAKER": "5/60s"}, "in mode WaitUntil no command runs after the answer"),
        ({"MODE": "BeforeTimeout", "RETRIES": "1"}, "in mode BeforeTimeout no command runs after the answer"),
        (
            {"MODE": "BeforeTimeout, waituntil", "FALLBACK_COMMAND": "true"},
            "in mode BeforeTimeout, waituntil no command runs after the answer",
        ),
    ],
)
def test_a_setting_that_does_nothing_is_worth_a_thought(settings: dict[str, str], words: str) -> None:
    [finding] = findings(config({"COMMAND": "true", **settings}))
    assert words in finding.text
    assert not finding.is_error


@pytest.mark.parametrize(
    "times", [{"MARGIN": "200ms"}, {"GRACE": "500ms"}, {"MARGIN": "1s", "GRACE": "2s"}], ids=str
)
def test_a_command_before_the_timeout_that_would_never_have_time_is_an_error(times: dict[str, str]) -> None:
    found = findings(config({"COMMAND": "true", "MODE": "BeforeTimeout,AfterResponse", **times}))
    [error] = [each for each in found if each.is_error]
    assert error.text.startswith(f"{PREFIX}MODE has BeforeTimeout, whose command begins")


def test_before_the_timeout_the_usual_margin_and_grace_will_do() -> None:
    assert findings(config({"COMMAND": "true", "MODE": "BeforeTimeout"})) == []


@pytest.mark.parametrize("name", ["BREAKER", "RETRIES", "METRICS", "SPANS", "FALLBACK_RESERVE"])
def test_a_wrong_value_is_an_error(name: str) -> None:
    found = findings(config({"COMMAND": "true", "FALLBACK_COMMAND": "true", name: "nonsense"}))
    assert [each.is_error for each in found] == [True]
    assert found[0].text.startswith(f"{PREFIX}{name} is 'nonsense'")


def test_a_fallback_command_that_is_not_deployed_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "work.sh").touch(0o755)
    [finding] = findings(config({"COMMAND": "./work.sh", "FALLBACK_COMMAND": "./spill.sh"}, tmp_path))
    assert finding.is_error
    assert f"{PREFIX}FALLBACK_COMMAND starts" in finding.text
