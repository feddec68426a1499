"""What a Lambda function in Python may ask of aws-lambda-post-runner: work for its command, and to be waited for.

    post_runner.work({"user": 7})            # a line for the post command's standard input
    post_runner.wait_until(send_mail(user))  # Lambda does not freeze us before this coroutine has ended
    with post_runner.hold(): ...             # nor before this block has

Where the runner is not there, the work itself goes on, and nobody waits for it. Nothing here raises because of the
runner, and nothing waits for it longer than half a second. Ask before the handler returns: an invocation that has
been answered and has nothing under way is over.

Nobody has to say for which invocation: on Managed Instances, where several are in flight, AWS's runtime client has a
process for each. Where it is another client, with one process for all, name it: `request_id=context.aws_request_id`.

`post_runner.asgi`, `.wsgi`, `.flush` and `.slack` join it to what many functions use already.
"""

from ._runner import Hold, hold, work
from ._waits import background, wait_until

__all__ = ["Hold", "background", "hold", "wait_until", "work"]
