"""`check` reads what people deploy with, says on which line a fault stands, and looks into what is deployed."""

import json
import textwrap
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from aws_lambda_post_runner.cli.check import check
from aws_lambda_post_runner.dev.check.findings import concerns_us, findings
from aws_lambda_post_runner.dev.check.function_config import UnreadableError
from aws_lambda_post_runner.dev.check.lines import line_of
from aws_lambda_post_runner.dev.check.read import read_file
from aws_lambda_post_runner.settings import PREFIX

app = typer.Typer()
app.command()(check)

Write = Callable[[str, str], Path]
WRAPPED = {"AWS_LAMBDA_EXEC_WRAPPER": "/opt/entry.sh"}


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file; what begins with a hash and a bang can be executed."""

    def to(name: str, text: str) -> Path:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text))
        file.chmod(0o755 if text.startswith("#!") else 0o644)
        return file

    return to


def errors(file: Path) -> list[str]:
    return [each.text for config in read_file(file) for each in findings(config) if each.is_error]


def doubts(file: Path) -> list[str]:
    return [each.text for config in read_file(file) for each in findings(config) if not each.is_error]


def template(command: str = "true", **properties: Any) -> str:
    variables = WRAPPED | {f"{PREFIX}COMMAND": command}
    function = {
        "Runtime": "python3.13",
        "Layers": ["x"],
        "Environment": {"Variables": variables},
    } | properties
    return json.dumps({"Resources": {"F": {"Type": "AWS::Serverless::Function", "Properties": function}}})


YAML = f"""\
Globals:
  Function:
    Environment:
      Variables:
        {PREFIX}GRACE: 1
Resources:
  Other:
    Type: AWS::Serverless::Function
    Properties:
      Environment: {{Variables: {{{PREFIX}MODE: AfterError}}}}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Environment:
        Variables:
          AWS_LAMBDA_EXEC_WRAPPER: /opt/entry.sh
          {PREFIX}COMMAND: "true"
          {PREFIX}MODE: AfterResponce
"""


def test_a_fault_in_a_template_has_its_file_and_line(write: Write) -> None:
    pytest.importorskip("yaml")
    file = write("template.yaml", YAML)
    [config] = [config for config in read_file(file) if config.name == "F"]
    places = {finding.text.split()[0]: finding.place for finding in findings(config)}
    assert places[f"{PREFIX}MODE"] == f"{file}:19"
    assert places[f"{PREFIX}GRACE"] == f"{file}:5"
    assert places["AWS_LAMBDA_EXEC_WRAPPER"] == f"{file}:17"


def test_a_fault_of_the_function_itself_has_the_functions_line(write: Write) -> None:
    file = write("t.json", json.dumps(json.loads(template()), indent=1).replace("EXEC_WRAPPER", "NOTHING"))
    [finding] = findings(read_file(file)[0])
    assert finding.place == f"{file}:3"


def test_a_fault_in_a_file_of_variables_has_its_line(write: Write) -> None:
    file = write("prod.env", f"# ours\n{PREFIX}COMMAND=true\n{PREFIX}MARGN=1s\n")
    [finding] = findings(read_file(file)[0])
    assert finding.place == f"{file}:3"


def test_a_key_is_found_behind_the_one_before_it_and_not_within_another_word() -> None:
    lines = ["A:", "  XNAME: 1", "  NAME: 1", "B:", "  'NAME' : 2"]
    assert line_of(lines, "B", "NAME") == 5
    assert line_of(lines, "NAME") == 3
    assert line_of(lines, "B", "A") is None


@pytest.mark.parametrize("command", ["./flush.sh", "FOO=1 ./flush.sh --all", "/var/task/flush.sh"])
def test_a_command_whose_file_is_not_deployed_is_an_error(write: Write, command: str) -> None:
    file = write("t.json", template(command, CodeUri="src"))
    write("src/app.py", "")
    assert any("flush.sh, which is not in" in text for text in errors(file))
    script = write("src/flush.sh", "#!/bin/sh\n")
    assert errors(file) == []
    script.chmod(0o644)
    assert any("chmod +x flush.sh" in text for text in errors(file))


@pytest.mark.parametrize("command", ["echo done", "/opt/bin/flush", "$HOME/flush", "echo 'unclosed"])
def test_a_command_that_is_not_of_the_package_is_not_looked_for(write: Write, command: str) -> None:
    write("src/app.py", "")
    assert errors(write("t.json", template(command, CodeUri="src"))) == []


def test_a_zip_is_looked_into(write: Write, tmp_path: Path) -> None:
    file = write("t.json", template("./flush.sh", CodeUri="code.zip"))
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.writestr("flush.sh", "")
    assert any("cannot be executed" in text for text in errors(file))
    with zipfile.ZipFile(tmp_path / "code.zip", "w") as archive:
        archive.write(write("flush.sh", "#!/bin/sh\n"), "flush.sh")
    assert errors(file) == []


def test_inline_code_has_no_other_file(write: Write) -> None:
    file = write("t.json", template("./flush.sh", InlineCode="def handler(): ..."))
    assert any("the template's inline code" in text for text in errors(file))


@pytest.mark.parametrize(
    ("layer", "runs_on", "faults"),
    [
        ("arn:aws:lambda:eu-west-1:1:layer:post-runner-arm64:3", ["x86_64"], 1),
        ("arn:aws:lambda:eu-west-1:1:layer:post-runner-arm64:3", ["arm64"], 0),
        ("arn:aws:lambda:eu-west-1:1:layer:somebody-arm64:3", ["x86_64"], 0),
        ({"Ref": "L"}, ["arm64"], 1),
        ({"Ref": "L"}, ["x86_64"], 0),
    ],
)
def test_a_layer_for_another_processor_is_an_error(
    write: Write, layer: object, runs_on: list[str], faults: int
) -> None:
    content = json.loads(template(Layers=[layer], Architectures=runs_on))
    properties = {"CompatibleArchitectures": ["x86_64"]}
    content["Resources"]["L"] = {"Type": "AWS::Serverless::LayerVersion", "Properties": properties}
    found = errors(write("t.json", json.dumps(content)))
    assert sum("but the function runs on" in text for text in found) == faults


def test_a_custom_runtime_whose_bootstrap_does_not_name_us_is_doubted(write: Write) -> None:
    file = write("t.json", template(Runtime="provided.al2023", CodeUri="src").replace("EXEC_WRAPPER", "NO"))
    write("src/bootstrap", "#!/bin/sh\nexec ./handler\n")
    assert any("does not name the post runner" in text for text in doubts(file))
    write("src/bootstrap", "#!/bin/sh\nexec /opt/aws-lambda-post-runner ./handler\n")
    assert doubts(file) == []


DOCKERFILE = f"""\
FROM builder
ENV {PREFIX}MODE=nonsense
FROM base
# a comment
ENV {PREFIX}COMMAND="./flush.sh --all" \\
    {PREFIX}MARGIN=1
COPY --chown=1 app.py flush.sh ./
ENTRYPOINT ["aws-lambda-post-runner", "python", "-m", "awslambdaric"]
CMD ["app.handler"]
"""


def test_the_last_stage_of_a_dockerfile_is_checked(write: Write) -> None:
    file = write("Dockerfile", DOCKERFILE)
    write("flush.sh", "#!/bin/sh\n")
    [config] = read_file(file)
    assert config.environ == {f"{PREFIX}COMMAND": "./flush.sh --all", f"{PREFIX}MARGIN": "1"}
    [finding] = findings(config)
    assert finding.place == f"{file}:5"
    assert "the unit is missing" in finding.text
    good = write("Dockerfile", DOCKERFILE.replace("MARGIN=1", "MARGIN=1s"))
    assert findings(read_file(good)[0]) == []


def test_an_image_that_does_not_start_us_or_lacks_the_commands_file_is_seen(write: Write) -> None:
    text = DOCKERFILE.replace("MARGIN=1", "MARGIN=1s").replace('"aws-lambda-post-runner", ', "")
    file = write("app.Dockerfile", text)
    assert any("nothing starts the post runner" in each for each in errors(file))
    assert any("which no COPY brings" in each for each in doubts(file))
    wrapped = text.replace(
        "FROM base", "FROM base\nENV AWS_LAMBDA_EXEC_WRAPPER /x/bin/aws-lambda-post-runner"
    )
    assert errors(write("app.Dockerfile", wrapped)) == []


def test_an_image_that_only_starts_us_concerns_us(write: Write) -> None:
    [config] = read_file(write("Dockerfile", "FROM x\nENTRYPOINT aws-lambda-post-runner ./bootstrap\n"))
    assert concerns_us(config)
    [other] = read_file(write("Dockerfile", "FROM x\nENTRYPOINT ./bootstrap\n"))
    assert not concerns_us(other)


def test_a_line_of_a_dockerfile_that_cannot_be_taken_apart_is_named(write: Write) -> None:
    with pytest.raises(UnreadableError, match="Dockerfile line 2"):
        read_file(write("Dockerfile", 'FROM x\nENV A="b\n'))


def test_a_terraform_plan_gives_the_functions_of_all_modules(write: Write) -> None:
    values = {"runtime": "nodejs24.x", "timeout": 5, "layers": [], "architectures": ["arm64"]}
    values |= {"environment": [{"variables": WRAPPED | {f"{PREFIX}COMAND": "true"}}]}
    resource = {"type": "aws_lambda_function", "address": "module.a.aws_lambda_function.f", "values": values}
    root = {"resources": [{"type": "aws_s3_bucket"}], "child_modules": [{"resources": [resource]}]}
    file = write("plan.json", json.dumps({"format_version": "1.2", "planned_values": {"root_module": root}}))
    [config] = read_file(file)
    assert (config.name, config.runtime, config.timeout_s) == (resource["address"], "nodejs24.x", 5)
    assert any("did you mean" in text for text in errors(file))
    assert any("no layer is attached" in text for text in errors(file))


def run_check(*arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "200"}).invoke(app, arguments)


def test_findings_come_with_their_place_and_the_settings_only_when_asked_for(write: Write) -> None:
    file = write("x.env", f"{PREFIX}COMMAND=true\n{PREFIX}GRACE=2s\n")
    done = run_check(str(file))
    assert done.exit_code == 0
    assert done.stdout.startswith(f"{file}:2: ! x.env: the grace")
    assert f"{PREFIX}MODE" not in done.stdout
    assert f"{PREFIX}MODE" in run_check(str(file), "--settings").stdout


def test_quiet_says_nothing_but_what_would_fail(write: Write) -> None:
    file = write("x.env", f"{PREFIX}COMMAND=true\n{PREFIX}GRACE=2s\n")
    assert run_check(str(file), "--quiet").stdout == ""
    file = write("x.env", f"{PREFIX}COMMAND=true\n{PREFIX}GRACE=2\n")
    done = run_check(str(file), "--quiet")
    assert (done.exit_code, len(done.stdout.splitlines())) == (1, 1)


def test_json_has_findings_and_settings_for_each_function(write: Write) -> None:
    file = write("x.env", f"{PREFIX}COMMAND=true\n{PREFIX}GRACE=2\n")
    done = run_check(str(file), "--json")
    assert done.exit_code == 1
    [function] = json.loads(done.stdout)
    assert function["function"] == "x.env"
    assert function["findings"][0]["is_error"]
    assert function["findings"][0]["place"] == f"{file}:2"
    assert function["settings"][f"{PREFIX}COMMAND"] == {"value": "true", "from": "x.env line 1"}
