"""Alarms on the metrics of post work, and a dashboard of them, for a deployment that has METRICS=emf. Pure."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from aws_lambda_post_runner.settings import METRICS, METRICS_NAMESPACE

from .render import Kind

PERIOD_S = 300
BUDGET_SHARE = 0.1
"""What is left of the function's timeout when the budget counts as nearly used."""
FUNCTION = "${Function}"
"""Stands for the function's name; CloudFormation's own form, which the other kinds replace."""
REGION = "${AWS::Region}"


@dataclass(frozen=True)
class Alarm:
    """An alarm on one metric."""

    name: str
    description: str
    metric: str
    statistic: str
    comparison: str
    threshold: int
    periods: int = 1
    """How many of five minutes have to be bad."""


def with_alarms(kind: Kind, deployment: str, timeout_s: int, settings: Mapping[str, str]) -> str:
    """Return the deployment with alarms and a dashboard, if its settings ask for metrics and it can have any."""
    form = FORMS.get(kind)
    if form is None or not METRICS.parse(settings.get(METRICS.full_name, "")):
        return deployment
    namespace = settings.get(METRICS_NAMESPACE.full_name) or METRICS_NAMESPACE.default
    return form(deployment, namespace, alarms(timeout_s))


def alarms(timeout_s: int) -> tuple[Alarm, ...]:
    """Return the alarms of a function with this timeout."""
    at_least = "GreaterThanOrEqualToThreshold"
    return (
        Alarm("PostWorkFailed", "Post commands fail; see the log for why.", "Failed", "Sum", at_least, 1),
        Alarm("PostWorkCutOff", "Post commands do not end in time.", "CutOff", "Sum", at_least, 1),
        Alarm(
            "PostWorkWaitsExpired",
            "What the handler asked to wait for does not end in time.",
            "WaitsExpired",
            "Sum",
            at_least,
            1,
        ),
        Alarm(
            "PostWorkBudgetNearlyUsed",
            "Post work leaves less than a tenth of the function's timeout.",
            "BudgetLeftMs",
            "Minimum",
            "LessThanThreshold",
            int(timeout_s * 1000 * BUDGET_SHARE),
            periods=3,
        ),
    )


def dashboard(namespace: str) -> str:
    """Return a dashboard's body, with FUNCTION and REGION in the places of those."""
    widgets = [
        _graph(0, 0, "Post work that went wrong", _series(namespace, "Sum", *_COUNTS)),
        _graph(
            12,
            0,
            "Times, 99th percentile",
            _series(namespace, "p99", "AnswerMs", "PostMs", "HeldMs", "WaitMs"),
        ),
        _graph(0, 6, "Least budget left", _series(namespace, "Minimum", "BudgetLeftMs")),
        _graph(12, 6, "Our share of the cold start, longest", _series(namespace, "Maximum", "StartMs")),
        _log(12),
    ]
    return json.dumps({"widgets": widgets}, indent=2)


_COUNTS = ("Failed", "CutOff", "Skipped", "Retried", "Spilled", "WaitsExpired")


def _series(namespace: str, statistic: str, *metrics: str) -> list[list[object]]:
    return [[namespace, name, "FunctionName", FUNCTION, {"stat": statistic}] for name in metrics]


def _graph(x: int, y: int, title: str, metrics: list[list[object]]) -> dict[str, object]:
    properties = {
        "title": title,
        "region": REGION,
        "period": PERIOD_S,
        "view": "timeSeries",
        "metrics": metrics,
    }
    return {"type": "metric", "x": x, "y": y, "width": 12, "height": 6, "properties": properties}


def _log(y: int) -> dict[str, object]:
    query = (
        f"SOURCE '/aws/lambda/{FUNCTION}' | fields @timestamp, level, event, requestId, message"
        ' | filter logger = "aws-lambda-post-runner" and level in ["WARN", "ERROR"]'
        " | sort @timestamp desc | limit 100"
    )
    properties = {"title": "What the post runner says (JSON log format)", "region": REGION, "query": query}
    return {"type": "log", "x": 0, "y": y, "width": 24, "height": 6, "properties": properties}


def _in_sam(deployment: str, namespace: str, wanted: tuple[Alarm, ...]) -> str:
    blocks = [*(_sam_alarm(alarm, namespace) for alarm in wanted), _sam_dashboard(namespace)]
    before, outputs, after = deployment.partition("\nOutputs:\n")
    return before + "\n" + "\n".join(blocks) + outputs + after


def _sam_alarm(alarm: Alarm, namespace: str) -> str:
    return f"""  {alarm.name}:
    Type: AWS::CloudWatch::Alarm
    Properties:
      AlarmDescription: {json.dumps(alarm.description)}
      Namespace: {json.dumps(namespace)}
      MetricName: {alarm.metric}
      Dimensions:
        - Name: FunctionName
          Value: !Ref Function
      Statistic: {alarm.statistic}
      Period: {PERIOD_S}
      EvaluationPeriods: {alarm.periods}
      ComparisonOperator: {alarm.comparison}
      Threshold: {alarm.threshold}
      TreatMissingData: notBreaching
      # AlarmActions: who is told
"""


def _sam_dashboard(namespace: str) -> str:
    body = _indented(dashboard(namespace), 8)
    return f"""  PostWorkDashboard:
    Type: AWS::CloudWatch::Dashboard
    Properties:
      DashboardBody: !Sub |
{body}
"""


def _in_cdk(deployment: str, namespace: str, wanted: tuple[Alarm, ...]) -> str:
    rows = "".join(
        f"    ({json.dumps(each.name)}, {json.dumps(each.description)}, {json.dumps(each.metric)}, "
        f"{json.dumps(each.statistic)}, {json.dumps(each.comparison)}, {each.threshold}, {each.periods}),\n"
        for each in wanted
    )
    block = f'''
ALARMS = [
{rows}]
for name, description, metric, statistic, comparison, threshold, periods in ALARMS:
    cloudwatch.CfnAlarm(
        stack,
        name,
        alarm_description=description,
        namespace={json.dumps(namespace)},
        metric_name=metric,
        dimensions=[{{"name": "FunctionName", "value": function.function_name}}],
        statistic=statistic,
        period={PERIOD_S},
        evaluation_periods=periods,
        comparison_operator=comparison,
        threshold=threshold,
        treat_missing_data="notBreaching",
    )
DASHBOARD = r"""
{dashboard(namespace)}
"""
cloudwatch.CfnDashboard(
    stack, "PostWorkDashboard", dashboard_body=Fn.sub(DASHBOARD, {{"Function": function.function_name}})
)
'''
    imported = deployment.replace(
        "from aws_cdk import App, CfnOutput, Duration, Stack\n",
        "from aws_cdk import App, CfnOutput, Duration, Fn, Stack\nfrom aws_cdk import aws_cloudwatch as cloudwatch\n",
    )
    before, output, after = imported.partition("CfnOutput(stack,")
    return before.rstrip("\n") + "\n" + block + output + after


def _in_terraform(deployment: str, namespace: str, wanted: tuple[Alarm, ...]) -> str:
    body = dashboard(namespace)
    body = body.replace(FUNCTION, "${aws_lambda_function.function.function_name}")
    body = _indented(body.replace(REGION, "${data.aws_region.current.region}"), 4)
    block = f"""
data "aws_region" "current" {{}}

resource "aws_cloudwatch_dashboard" "post_work" {{
  dashboard_name = "post-runner-example"
  dashboard_body = <<-EOT
{body}
  EOT
}}
"""
    return deployment + "".join(_terraform_alarm(alarm, namespace) for alarm in wanted) + block


def _terraform_alarm(alarm: Alarm, namespace: str) -> str:
    return f"""
resource "aws_cloudwatch_metric_alarm" "{_snake(alarm.name)}" {{
  alarm_name          = "post-runner-example-{_snake(alarm.name).replace("_", "-")}"
  alarm_description   = {json.dumps(alarm.description)}
  namespace           = {json.dumps(namespace)}
  metric_name         = {json.dumps(alarm.metric)}
  statistic           = {json.dumps(alarm.statistic)}
  period              = {PERIOD_S}
  evaluation_periods  = {alarm.periods}
  comparison_operator = {json.dumps(alarm.comparison)}
  threshold           = {alarm.threshold}
  treat_missing_data  = "notBreaching"

  dimensions = {{
    FunctionName = aws_lambda_function.function.function_name
  }}
}}
"""


def _snake(name: str) -> str:
    return "".join(f"_{each.lower()}" if each.isupper() else each for each in name).lstrip("_")


def _indented(text: str, spaces: int) -> str:
    return "\n".join(" " * spaces + line for line in text.splitlines())


FORMS: Mapping[Kind, Callable[[str, str, tuple[Alarm, ...]], str]] = {
    Kind.SAM: _in_sam,
    Kind.CDK: _in_cdk,
    Kind.TERRAFORM: _in_terraform,
}
"""An image is deployed by one of these, and has none of its own."""
