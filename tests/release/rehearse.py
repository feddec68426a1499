"""Publishes a folder's layers to an AWS that is made up, in a region of each partition, twice, for `nox -s release`.

All regions at once are `test_publishing.py`'s matter, with small files: moto keeps in memory whatever it is given.
"""

import os
import sys

from moto import mock_aws

from aws_lambda_post_runner.release.__main__ import main

REGIONS = ("eu-north-1", "us-gov-west-1", "cn-north-1")


def rehearse(folder: str) -> int:
    """Return the status of the first step that fails, or 0."""
    os.environ.update(
        dict.fromkeys(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"), "made-up")
    )
    with mock_aws():
        for region in (*REGIONS, *REGIONS):
            if status := main(["layers", folder, "--region", region]):
                return status
    return 0


if __name__ == "__main__":
    sys.exit(rehearse(sys.argv[1]))
