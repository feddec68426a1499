"""What all exchanges have in common."""

from dataclasses import dataclass

from aws_lambda_post_runner.invocation import Invocations
from aws_lambda_post_runner.post.work import PostWork
from aws_lambda_post_runner.report import Report
from aws_lambda_post_runner.settings import Settings

from .answers import Answers
from .door import Door
from .pool import Pool


@dataclass(frozen=True, slots=True)
class Shared:
    """One for all handler connections. The relay makes it."""

    settings: Settings
    invocations: Invocations
    post_work: PostWork
    report: Report
    door: Door
    pool: Pool
    answers: Answers
