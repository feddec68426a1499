#!/opt/aws-lambda-post-runner --exec-wrapper
# For AWS_LAMBDA_EXEC_WRAPPER=/opt/entry.sh. There is no shell between Lambda and the handler, so none changes its environment.
