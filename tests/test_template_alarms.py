"""A deployment that asks for metrics has alarms on them and a dashboard, in each kind's own form."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aws_lambda_post_runner.dev.templates.alarms import alarms, dashboard, with_alarms
from aws_lambda_post_runner.dev.templates.render import Architecture, Kind, render
from aws_lambda_post_runner.post.metrics import Figures, Source, invocation_line, start_line
from aws_lambda_post_runner.settings import PREFIX

from .embedded_metrics import metrics

SETTINGS = {
    f"{PREFIX}COMMAND": "true",
    f"{PREFIX}METRICS": "emf",
    f"{PREFIX}METRICS_NAMESPACE": "Shop/Orders",
}
TIMEOUT = 30
WATCHED = [Kind.SAM, Kind.CDK, Kind.TERRAFORM]


def plain(kind: Kind) -> str:
    return render(kind, Architecture.ARM64, TIMEOUT, SETTINGS)


def rendered(kind: Kind) -> str:
    return with_alarms(kind, plain(kind), TIMEOUT, SETTINGS)


def our_metrics() -> set[str]:
    """The names of all metrics that are ever written."""
    source = Source("PostRunner", "orders", "INFO")
    figures = Figures(answer_ms=1, post_ms=1, held_ms=1, wait_ms=1, budget_left_ms=1)
    line = invocation_line(source, figures, request_id="id", function_arn="", now=1e9)
    return set(metrics(line.decode())) | set(metrics(start_line(source, 1, 1e9).decode()))


@pytest.mark.parametrize("kind", list(Kind))
def test_without_metrics_a_deployment_is_as_it_was(kind: Kind) -> None:
    assert with_alarms(kind, plain(kind), TIMEOUT, {f"{PREFIX}METRICS": ""}) == plain(kind)


def test_each_alarm_is_on_a_metric_that_is_written() -> None:
    assert {alarm.metric for alarm in alarms(TIMEOUT)} <= our_metrics()


def test_the_dashboard_shows_each_metric_that_is_written() -> None:
    widgets = json.loads(dashboard("PostRunner"))["widgets"]
    shown = {
        row[1] for widget in widgets if widget["type"] == "metric" for row in widget["properties"]["metrics"]
    }
    assert shown == our_metrics()


def test_the_budget_is_nearly_used_at_a_tenth_of_the_timeout() -> None:
    [budget] = [alarm for alarm in alarms(TIMEOUT) if alarm.metric == "BudgetLeftMs"]
    assert budget.threshold == 3000


def sam() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml")
    text = re.sub(r"!(Ref|Sub)\b", "", rendered(Kind.SAM))
    document: dict[str, Any] = yaml.safe_load(text)
    return document


def test_sam_has_the_alarms_on_the_namespace_and_the_function() -> None:
    found = {
        name: resource["Properties"]
        for name, resource in sam()["Resources"].items()
        if resource["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert set(found) == {alarm.name for alarm in alarms(TIMEOUT)}
    assert {each["Namespace"] for each in found.values()} == {"Shop/Orders"}
    assert all(
        each["Dimensions"] == [{"Name": "FunctionName", "Value": "Function"}] for each in found.values()
    )
    assert "Outputs" in sam()


def test_sam_has_a_dashboard_that_is_json() -> None:
    body = json.loads(sam()["Resources"]["PostWorkDashboard"]["Properties"]["DashboardBody"])
    assert body == json.loads(dashboard("Shop/Orders"))


def test_python_has_the_alarms_and_the_dashboard() -> None:
    tree = ast.parse(rendered(Kind.CDK))
    assigned = {
        target.id: ast.literal_eval(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List | ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    assert [row[0] for row in assigned["ALARMS"]] == [alarm.name for alarm in alarms(TIMEOUT)]
    assert json.loads(assigned["DASHBOARD"]) == json.loads(dashboard("Shop/Orders"))
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert {"Fn", "cloudwatch"} <= imported


def test_terraform_has_the_alarms_and_a_dashboard_that_is_json() -> None:
    text = rendered(Kind.TERRAFORM)
    assert text.count('resource "aws_cloudwatch_metric_alarm"') == len(alarms(TIMEOUT))
    body = text.partition("dashboard_body = <<-EOT\n")[2].partition("\n  EOT")[0]
    shown = json.loads(body)
    assert shown["widgets"][0]["properties"]["region"] == "${data.aws_region.current.region}"


@pytest.mark.interop
@pytest.mark.parametrize(
    ("tool", "kind", "file", "arguments"),
    [
        ("cfn-lint", Kind.SAM, "template.yaml", ["template.yaml"]),
        ("ruff", Kind.CDK, "app.py", ["check", "--isolated", "app.py"]),
        ("terraform", Kind.TERRAFORM, "main.tf", ["fmt", "-check", "-diff", "main.tf"]),
    ],
)
def test_each_kinds_own_tool_has_nothing_to_say_of_the_alarms(
    tmp_path: Path, tool: str, kind: Kind, file: str, arguments: list[str]
) -> None:
    program = shutil.which(tool, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if program is None:
        pytest.skip(f"{tool} is not installed")
    (tmp_path / file).write_text(rendered(kind))
    done = subprocess.run(
        [program, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.interop
def test_terraforms_language_is_read(tmp_path: Path) -> None:
    hcl2 = pytest.importorskip("hcl2")
    (tmp_path / "main.tf").write_text(rendered(Kind.TERRAFORM))
    with (tmp_path / "main.tf").open() as file:
        resources = hcl2.load(file)["resource"]
    assert sum("aws_cloudwatch_metric_alarm" in str(list(each)) for each in resources) == len(alarms(TIMEOUT))
