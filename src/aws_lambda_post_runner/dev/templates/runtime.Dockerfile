# A customer-managed runtime in which every function has the post runner. Build it where the executable of a release is,
# push it to a private repository of Amazon ECR, and make a version of your runtime of it:
#   docker build --platform linux/@DOCKER_ARCHITECTURE@ -t post-runner-runtime .
# A function then says `Runtime: custom`, names the runtime in RuntimeConfig (RuntimeArn, RuntimeAlias), and may set
# AWS_LAMBDA_POST_RUNNER_COMMAND and the other settings itself: they win over those below. To have a function without
# the post runner, set AWS_LAMBDA_POST_RUNNER_DISABLED to a reason.
#
# AWS's pages leave open whether Lambda starts the image by its ENTRYPOINT or by /var/runtime/bootstrap, and whether
# functions get its ENV. In Lambda's base images for languages the former starts the latter. So it is the bootstrap that
# is replaced, and the settings stand in it. We have not run this in AWS: try it with one function first.
FROM public.ecr.aws/lambda/@IMAGE@

# Not below /opt: a function's layers are there.
COPY --chmod=755 @EXECUTABLE@ /usr/local/bin/aws-lambda-post-runner

# Fails where the base image has no bootstrap of its own, as provided:al2023: there, name yours instead.
RUN mv /var/runtime/bootstrap /var/runtime/bootstrap.lambda

COPY --chmod=755 <<"END-OF-BOOTSTRAP" /var/runtime/bootstrap
#!/bin/sh
@VARIABLE@
# A function that has us as its wrapper, too, would have us twice.
case "${AWS_LAMBDA_EXEC_WRAPPER-}" in
    /opt/entry.sh | */aws-lambda-post-runner) unset AWS_LAMBDA_EXEC_WRAPPER ;;
esac
exec /usr/local/bin/aws-lambda-post-runner /var/runtime/bootstrap.lambda "$@"
END-OF-BOOTSTRAP
