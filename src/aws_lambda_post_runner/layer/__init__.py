"""Builds the Lambda layers: three zips that need nothing but what a Lambda environment has.

`python -m aws_lambda_post_runner.layer --out dist` is all there is to know from outside; `__main__` tells what it does.
"""
