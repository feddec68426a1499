"""Run work after an AWS Lambda function has answered, before Lambda freezes its execution environment."""

__version__ = "0.2.0"
