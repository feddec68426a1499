"""`check` says what is effective, where it comes from, and what is wrong."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from aws_lambda_post_runner.cli.check import check
from aws_lambda_post_runner.dev.check.findings import Finding, concerns_us, effective, findings
from aws_lambda_post_runner.dev.check.function_config import (
    FunctionConfig,
    UnreadableError,
    Value,
    from_environment,
)
from aws_lambda_post_runner.dev.check.read import read_file
from aws_lambda_post_runner.settings import PREFIX

app = typer.Typer()
app.command()(check)

GOOD = {f"{PREFIX}COMMAND": "./flush.sh"}
WRAPPED = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/entry.sh"}


def on_this_machine(environ: dict[str, str], timeout_s: float | None = None) -> FunctionConfig:
    variables = {name: Value(text, "here") for name, text in environ.items()}
    return FunctionConfig("f", variables, timeout_s)


def on_lambda(
    environ: dict[str, str],
    timeout_s: float = 30.0,
    runtime: str = "python3.13",
    layers: tuple[str, ...] | None = None,
) -> FunctionConfig:
    variables = {name: Value(text, "f") for name, text in environ.items()}
    return FunctionConfig("f", variables, timeout_s, runtime, deployed=True, layers=layers)


@pytest.mark.parametrize(
    "config",
    [
        on_this_machine(GOOD),
        on_this_machine(GOOD | {f"{PREFIX}TIMEOUT": "5s"}, timeout_s=30),
        on_this_machine({f"{PREFIX}MODE": "WaitUntil"}),
        on_this_machine(GOOD | {f"{PREFIX}NEXT_WRAPPER": "/bin/sh"}),
        on_lambda(GOOD | WRAPPED),
        on_lambda(GOOD | WRAPPED | {f"{PREFIX}NEXT_WRAPPER": "/opt/otel-handler"}),
        on_lambda(GOOD, runtime="provided.al2023"),
        on_lambda(GOOD, runtime=""),
        on_lambda(GOOD | WRAPPED, layers=("arn:aws:lambda:eu-west-1:1:layer:shared:3",)),
        on_this_machine(GOOD | {"AWS_LAMBDA_FUNCTION_TIMEOUT": "3", "AWS_LAMBDA_LOG_LEVEL": "INFO"}),
    ],
)
def test_nothing_is_found_where_nothing_is_wrong(config: FunctionConfig) -> None:
    assert findings(config) == []


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (on_this_machine({}), "COMMAND is not set"),
        (on_this_machine(GOOD | {f"{PREFIX}MODE": "AfterResponce"}), "did you mean AfterResponse?"),
        (on_this_machine(GOOD | {f"{PREFIX}TIMEOUT": "30"}), "the unit is missing"),
        (on_this_machine(GOOD | {f"{PREFIX}TIMOUT": "3s"}), f"did you mean {PREFIX}TIMEOUT?"),
        (on_this_machine(GOOD | {"AWS_LAMBDA_POSTRUNNER_MODE": "AfterError"}), f"did you mean {PREFIX}MODE?"),
        (on_this_machine({"AWS_LAMDA_POST_RUNNER_COMMAND": "x"}), f"did you mean {PREFIX}COMMAND?"),
        (on_this_machine({"AWS_LAMBDA_POST_RUNER_COMMAND": "x"}), f"did you mean {PREFIX}COMMAND?"),
        (on_this_machine({"aws_lambda_pots_runner_command": "x"}), f"did you mean {PREFIX}COMMAND?"),
        (on_lambda(GOOD | WRAPPED, layers=()), "no layer is attached"),
        (on_this_machine(GOOD | {"POST_RUNNER": "1"}), "POST_RUNNER is not a setting and is ignored"),
        (on_this_machine(GOOD | {f"{PREFIX}OBSERVER_FD": "3"}), "is for `dev` alone"),
        (
            on_this_machine(GOOD | {f"{PREFIX}SHELL": "/no/such/shell"}),
            "the shell /no/such/shell is not there",
        ),
        (
            on_this_machine(GOOD | {f"{PREFIX}NEXT_WRAPPER": "/no/such"}),
            "'/no/such', which cannot be executed",
        ),
        (on_this_machine(GOOD | {f"{PREFIX}NEXT_WRAPPER": "/opt/entry.sh"}), "is our own wrapper"),
        (on_this_machine(GOOD, timeout_s=0.5), "leaves the command no time"),
        (on_lambda(GOOD | WRAPPED, timeout_s=0.4), "leaves the command no time"),
        (on_lambda(GOOD), "AWS_LAMBDA_EXEC_WRAPPER is not set"),
        (on_lambda(GOOD | {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/otel"}), f"{PREFIX}NEXT_WRAPPER to /opt/otel"),
        (
            on_lambda(GOOD | WRAPPED, runtime="provided.al2023"),
            "provided.al2023 ignores AWS_LAMBDA_EXEC_WRAPPER",
        ),
        (on_lambda(GOOD | WRAPPED | {"AWS_LAMBDA_RUNTIME_API": "x:1"}), "a function cannot set it"),
    ],
)
def test_what_would_fail_or_be_ignored_is_an_error(config: FunctionConfig, words: str) -> None:
    errors = [finding.text for finding in findings(config) if finding.is_error]
    assert any(words in text for text in errors), errors


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (on_this_machine(GOOD | {f"{PREFIX}TIMEOUT": "1m"}, timeout_s=30), "29.5 s at most"),
        (on_this_machine(GOOD | {f"{PREFIX}GRACE": "2s"}), "is not less than the margin"),
        (on_this_machine(GOOD | {f"{PREFIX}DISABLED": "for now"}), "disabled: for now"),
        (
            on_lambda(GOOD | WRAPPED | {f"{PREFIX}SHELL": "/opt/bin/zsh"}),
            "must come with a layer or the image",
        ),
    ],
)
def test_what_is_worth_a_thought_is_no_error(config: FunctionConfig, words: str) -> None:
    [finding] = findings(config)
    assert not finding.is_error
    assert words in finding.text


CUSTOM: dict[str, object] = {
    "Runtime": "custom",
    "RuntimeConfig": {"RuntimeArn": "arn:…:runtime/ours", "RuntimeAlias": "prod"},
}


@pytest.mark.parametrize(
    ("properties", "variables", "is_error", "words"),
    [
        (
            CUSTOM,
            {},
            False,
            "starts only if the runtime's image starts it: `template runtime` makes one that does",
        ),
        (
            CUSTOM,
            {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/other"},
            False,
            "starts only if the runtime's image starts it",
        ),
        (CUSTOM | {"Layers": ["arn"]}, WRAPPED, False, "is heeded if the runtime's bootstrap heeds it"),
        ({"Runtime": "custom"}, {}, True, "RuntimeConfig has no RuntimeArn and no RuntimeAlias"),
        (CUSTOM | {"RuntimeConfig": {"RuntimeArn": "arn"}}, {}, True, "RuntimeConfig has no RuntimeAlias"),
        (
            CUSTOM | {"Runtime": "python3.13"},
            {},
            True,
            "goes with Runtime: custom alone, and Runtime is python3.13",
        ),
    ],
)
def test_a_customer_managed_runtime_is_known(
    properties: dict[str, object], variables: dict[str, str], *, is_error: bool, words: str, tmp_path: Path
) -> None:
    found = findings(customer_managed(tmp_path, properties, GOOD | variables))
    assert [each for each in found if words in each.text and each.is_error is is_error]
    assert is_error or not [each for each in found if each.is_error]


def test_a_runtime_config_that_only_the_deployment_knows_is_taken_to_be_right(tmp_path: Path) -> None:
    config = customer_managed(tmp_path, {**CUSTOM, "RuntimeConfig": {"Fn::If": ["a", {}, {}]}}, GOOD)
    assert not [each for each in findings(config) if each.is_error]


def customer_managed(
    folder: Path, properties: Mapping[str, object], variables: dict[str, str]
) -> FunctionConfig:
    file = folder / "template.json"
    usual = {"Timeout": 30, "Environment": {"Variables": {**variables, f"{PREFIX}COMMAND": "true"}}}
    resource = {"Type": "AWS::Serverless::Function", "Properties": {**usual, **properties}}
    file.write_text(json.dumps({"Resources": {"F": resource}}))
    [config] = read_file(file)
    return config


def test_a_function_whose_prefix_is_misspelt_concerns_us() -> None:
    assert concerns_us(on_lambda({"AWS_LAMBDA_POST_RUNER_COMMAND": "x"}))
    assert not concerns_us(on_lambda({"AWS_LAMBDA_FUNCTION_TIMEOUT": "3"}))


def test_no_level_is_suggested_for_a_word_that_is_not_like_any() -> None:
    [finding] = findings(on_this_machine(GOOD | {f"{PREFIX}LOG_LEVEL": "verbose"}))
    assert "did you mean" not in finding.text
    [finding] = findings(on_this_machine(GOOD | {f"{PREFIX}LOG_LEVEL": "warning"}))
    assert "did you mean WARN?" in finding.text


def test_errors_come_first() -> None:
    found = findings(on_this_machine(GOOD | {f"{PREFIX}GRACE": "2s", f"{PREFIX}MARGN": "1s"}))
    assert [finding.is_error for finding in found] == [True, False]


def test_each_setting_is_effective_with_where_it_comes_from() -> None:
    values = dict(effective(on_this_machine(GOOD)))
    assert values[f"{PREFIX}COMMAND"] == Value("./flush.sh", "here")
    assert values[f"{PREFIX}MARGIN"] == Value("500ms", "default")


def test_the_environment_tells_the_functions_timeout() -> None:
    config = from_environment(GOOD | {"AWS_LAMBDA_FUNCTION_TIMEOUT": "30"})
    assert config.timeout_s == 30
    assert config.variables[f"{PREFIX}COMMAND"] == Value("./flush.sh", "environment")
    assert from_environment({}).timeout_s is None


def test_a_file_of_variables_may_have_comments_quotes_and_exports(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("# ours\n\nexport A=\"one two\"\nB='three' \nC=four # and more\nD=a=b\n")
    [config] = read_file(file)
    assert config.environ == {"A": "one two", "B": "three", "C": "four", "D": "a=b"}
    assert config.variables["C"].origin == ".env line 5"


def test_a_line_that_is_no_variable_is_named(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("A=1\nnonsense\n")
    with pytest.raises(UnreadableError, match=r"\.env line 2 is not NAME=VALUE"):
        read_file(file)


TEMPLATE = {
    "Globals": {"Function": {"Timeout": 10, "Environment": {"Variables": {f"{PREFIX}GRACE": "1s", "N": 5}}}},
    "Resources": {
        "Serverless": {
            "Type": "AWS::Serverless::Function",
            "Properties": {"Runtime": "nodejs22.x", "Environment": {"Variables": GOOD}},
        },
        "Plain": {
            "Type": "AWS::Lambda::Function",
            "Properties": {"Timeout": {"Ref": "T"}, "Environment": {"Variables": {"X": {"Ref": "Y"}}}},
        },
        "Default": {"Type": "AWS::Lambda::Function"},
        "Bucket": {"Type": "AWS::S3::Bucket"},
    },
}


def test_a_template_gives_each_function_with_what_is_global(tmp_path: Path) -> None:
    file = tmp_path / "template.json"
    file.write_text(json.dumps(TEMPLATE))
    serverless, plain, default = read_file(file)
    assert serverless.environ == {f"{PREFIX}GRACE": "1s", "N": "5", **GOOD}
    assert serverless.variables["N"].origin == "Globals"
    assert serverless.variables[f"{PREFIX}COMMAND"].origin == "Serverless"
    assert (serverless.timeout_s, serverless.runtime) == (10, "nodejs22.x")
    assert (plain.timeout_s, plain.variables["X"]) == (None, Value(None, "Plain"))
    assert default.timeout_s == 3
    assert [concerns_us(config) for config in (serverless, plain, default)] == [True, False, False]


@pytest.mark.parametrize(
    ("layers", "read"),
    [
        (None, ()),
        ([{"Ref": "PostRunnerLayer"}], ("PostRunnerLayer",)),
        (["arn:aws:lambda:eu-west-1:1:layer:x:3"], ("arn:aws:lambda:eu-west-1:1:layer:x:3",)),
        ({"Fn::If": ["A", [], []]}, None),
    ],
)
def test_a_template_tells_the_layers(tmp_path: Path, layers: object, read: tuple[str, ...] | None) -> None:
    properties = {"Runtime": "python3.13"} | ({"Layers": layers} if layers is not None else {})
    file = tmp_path / "template.json"
    file.write_text(
        json.dumps({"Resources": {"F": {"Type": "AWS::Lambda::Function", "Properties": properties}}})
    )
    [config] = read_file(file)
    assert config.layers == read


def test_a_command_that_only_the_deployment_knows_is_taken_to_be_there() -> None:
    config = on_lambda(WRAPPED)
    unknown = FunctionConfig(
        "f", {**config.variables, f"{PREFIX}COMMAND": Value(None, "f")}, 30, "python3.13", deployed=True
    )
    assert findings(unknown) == []


def test_a_yaml_template_is_read_with_its_own_tags(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    file = tmp_path / "template.yaml"
    file.write_text(
        "Resources:\n  F:\n    Type: AWS::Lambda::Function\n    Properties:\n      Timeout: 7\n"
        "      Environment:\n        Variables:\n          A: !Sub '${B}'\n          C: d\n"
    )
    [config] = read_file(file)
    assert config.variables == {"A": Value(None, "F"), "C": Value("d", "F")}
    assert config.timeout_s == 7


def test_yaml_that_cannot_be_read_is_said_to_be(tmp_path: Path) -> None:
    pytest.importorskip("yaml")
    file = tmp_path / "template.yaml"
    file.write_text("a: [")
    with pytest.raises(UnreadableError, match="not YAML"):
        read_file(file)


def test_without_pyyaml_the_way_out_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    file = tmp_path / "template.yaml"
    file.write_text("Resources: {}")
    with pytest.raises(UnreadableError, match="pip install PyYAML"):
        read_file(file)


@pytest.mark.parametrize(("text", "words"), [("{", "not JSON"), ("{}", "no Resources")])
def test_a_template_that_is_none_is_said_to_be(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "template.json"
    file.write_text(text)
    with pytest.raises(UnreadableError, match=words):
        read_file(file)


def run_check(*arguments: str, environ: dict[str, str] | None = None) -> Result:
    return CliRunner(env={"COLUMNS": "200"} | (environ or {})).invoke(app, arguments)


def test_the_command_exits_with_1_only_if_something_would_fail(tmp_path: Path) -> None:
    good, bad = tmp_path / "good.env", tmp_path / "bad.env"
    good.write_text(f"{PREFIX}COMMAND=true\n")
    bad.write_text(f"{PREFIX}COMAND=true\n")
    done = run_check(str(good))
    assert done.exit_code == 0, done.output
    assert "nothing is wrong" in done.output
    done = run_check(str(bad))
    assert done.exit_code == 1
    assert f"did you mean {PREFIX}COMMAND?" in done.output


def test_without_a_file_the_environment_is_checked() -> None:
    done = run_check("--settings", environ={f"{PREFIX}COMMAND": "./flush.sh"})
    assert done.exit_code == 0
    assert "./flush.sh" in done.output
    assert "environment" in done.output


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "not JSON"), (json.dumps({"Resources": {"B": {}}}), "no function in it uses the post runner")],
)
def test_a_file_with_nothing_to_check_is_one_line_and_status_1(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "template.json"
    file.write_text(text)
    done = run_check(str(file))
    assert done.exit_code == 1
    assert words in done.stderr
    assert run_check(str(tmp_path / "nowhere.json")).exit_code == 1


def test_a_finding_says_no_more_than_it_has_to() -> None:
    assert findings(on_this_machine({f"{PREFIX}MODE": "WaitUntil", f"{PREFIX}GRACE": "x"})) == [
        Finding(is_error=True, text=f"{PREFIX}GRACE is 'x'; valid: a duration such as 500ms, 30s or 2m")
    ]
