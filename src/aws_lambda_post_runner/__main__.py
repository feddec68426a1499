"""`python -m aws_lambda_post_runner`."""

import sys

from .entry import main

sys.exit(main())
