# What a configuration needs for the post runner. Put the layer's zip beside it, and give a function of yours, its own
# variables being VARIABLES:
#   layers = [aws_lambda_layer_version.post_runner.arn]
#   environment {
#     variables = merge(VARIABLES, local.post_runner_variables)
#   }
resource "aws_lambda_layer_version" "post_runner" {
  layer_name               = "aws-lambda-post-runner"
  filename                 = "${path.module}/@LAYER@"
  compatible_architectures = ["@ARCHITECTURE@"]
}

locals {
  post_runner_variables = {
    @VARIABLE@
  }
}
