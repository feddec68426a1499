# A function that answers at once and runs a command after it. Put the layer's zip beside this file, then:
#   terraform init && terraform apply
terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.20, < 7.0" # the first that knows python3.14, nodejs24.x and java25
    }
    archive = {
      source  = "hashicorp/archive"
      version = "~> 2.7"
    }
  }
}

data "archive_file" "code" {
  type        = "zip"
  output_path = "${path.module}/function.zip"
  @CODE@
}

data "aws_iam_policy_document" "assume" {
  statement {
    actions = ["sts:AssumeRole"]
    principals {
      type        = "Service"
      identifiers = ["lambda.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "function" {
  name_prefix        = "post-runner-example-"
  assume_role_policy = data.aws_iam_policy_document.assume.json
}

resource "aws_iam_role_policy_attachment" "logs" {
  role       = aws_iam_role.function.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"
}

resource "aws_lambda_layer_version" "post_runner" {
  layer_name               = "aws-lambda-post-runner"
  filename                 = "${path.module}/@LAYER@"
  compatible_architectures = ["@ARCHITECTURE@"]
}

resource "aws_lambda_function" "function" {
  function_name    = "post-runner-example"
  role             = aws_iam_role.function.arn
  runtime          = "@RUNTIME@"
  architectures    = ["@ARCHITECTURE@"]
  handler          = "@HANDLER@"
  filename         = data.archive_file.code.output_path
  source_code_hash = data.archive_file.code.output_base64sha256
  timeout          = @TIMEOUT@
  layers           = [aws_lambda_layer_version.post_runner.arn]

  environment {
    variables = {
      @VARIABLE@
    }
  }
}

output "function_name" {
  value = aws_lambda_function.function.function_name
}
