"""One execution environment from its start to its end: the handler under the runner, and what Lambda does to it.

It joins the Runtime API to the processes: freeze while nothing is pending, thaw, and kill at the deadline.
"""

import json
import math
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import trio

from aws_lambda_post_runner import settings
from aws_lambda_post_runner.dev.moments import Moment, Recorder
from aws_lambda_post_runner.invocation import Outcome
from aws_lambda_post_runner.runtime_api import ADDRESS_VARIABLE
from aws_lambda_post_runner.settings import DISABLED, OBSERVER_FD, Mode

from .invocations import Invocation, Pending
from .lines import PipeLines
from .runtime_api import Function, RuntimeApi
from .sandbox import Sandbox

# Lambda gives the init phase 10 s, and if that is not enough tries again within the function's timeout.
INIT_LIMIT_S = 10.0

# What Lambda sets and a handler may read (https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html);
# a variable that is already there wins. Credentials are not among them: those of this machine's user shall count.
FUNCTION_VARIABLES = {
    "AWS_LAMBDA_FUNCTION_NAME": "test_function",
    "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "3008",
    "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
    "AWS_LAMBDA_LOG_GROUP_NAME": "/aws/lambda/test_function",
    "AWS_REGION": "us-east-1",
    "LAMBDA_RUNTIME_DIR": "/var/runtime",
    "TZ": ":UTC",
}
# What the layer has in /opt/nodejs: there `require('post-runner')` finds the helper.
NODE_HELPERS = Path(__file__).parents[2] / "layer" / "nodejs"
MAX_CONCURRENCY = "AWS_LAMBDA_MAX_CONCURRENCY"
LOG_STREAM = "AWS_LAMBDA_LOG_STREAM_NAME"


@dataclass(frozen=True)
class Options:
    """How to run a handler."""

    handler: tuple[str, ...]
    timeout_s: float = 300.0
    concurrency: int | None = None
    """The number of invocations at once, as on Lambda Managed Instances; None: one, and frozen in between."""
    freeze: bool = True
    runner: bool = True
    """False starts the handler without us, for a before and after."""
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: Path = field(default_factory=Path.cwd)
    """Where the handler is started: what Lambda has as /var/task."""


class ExecutionEnvironment:
    """Runs one; make a new one for the next. It is the Runtime API's host."""

    def __init__(self, options: Options, pending: Pending, recorder: Recorder) -> None:
        self._options = options
        self._recorder = recorder
        self._environ = FUNCTION_VARIABLES | {"LAMBDA_TASK_ROOT": str(options.folder)} | dict(options.environ)
        self._environ.setdefault("AWS_DEFAULT_REGION", self._environ["AWS_REGION"])
        node_path = [self._environ.get("NODE_PATH", ""), str(NODE_HELPERS)]
        self._environ["NODE_PATH"] = os.pathsep.join(filter(None, node_path))
        name, region = self._environ["AWS_LAMBDA_FUNCTION_NAME"], self._environ["AWS_REGION"]
        function = Function(
            arn=f"arn:aws:lambda:{region}:012345678912:function:{name}",
            timeout_s=options.timeout_s,
            concurrent=options.concurrency is not None,
        )
        self._runtime_api = RuntimeApi(function, pending, recorder, self)
        self._concurrent = function.concurrent
        self._observer = PipeLines(self._observe)
        self._output = PipeLines(self._show)
        self._ready = trio.Event()
        self._ready_at = 0.0
        self._awaiting_command: dict[str, Invocation] = {}
        # What marks its processes must be unique, and on Lambda a log stream's name is just that.
        self._log_stream = f"{datetime.now(UTC):%Y/%m/%d}/[$LATEST]{uuid.uuid4().hex}"
        self._sandbox = Sandbox(f"{LOG_STREAM}={self._log_stream}")
        # Shielded, because on Lambda too a handler is killed while the Runtime API is still there for it.
        self._serving = trio.CancelScope(shield=True)
        self._nursery: trio.Nursery

    @property
    def in_flight(self) -> list[Invocation]:
        """The invocations that the handler has."""
        return list(self._runtime_api.in_flight.values())

    async def run(self) -> None:
        """Start the handler and return when all of its processes have ended, by themselves or by us.

        Whatever invocation it had not finished has then ended too.
        """
        with self._output, self._observer:
            async with trio.open_nursery() as self._nursery:
                listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
                self._nursery.start_soon(self._serve, listeners)
                self._nursery.start_soon(self._observer.run)
                self._nursery.start_soon(self._output.run)
                self._nursery.start_soon(self._watch_init)
                port = listeners[0].socket.getsockname()[1]
                try:
                    reason = await self._run_handler(f"127.0.0.1:{port}")
                    await self._runtime_api.hear_out()
                    self._drain()
                    self._runtime_api.handler_ended(reason)
                finally:
                    self._serving.cancel()
                self._nursery.cancel_scope.cancel()

    def retire(self) -> None:
        """Hand out no event any more. What comes while the processes are being killed is for the next one."""
        self._serving.cancel()

    async def _serve(self, listeners: list[trio.SocketListener]) -> None:
        with self._serving:
            await trio.serve_listeners(self._runtime_api.serve, listeners)

    async def _run_handler(self, address: str) -> str:
        """Run the handler and return how it ended, in the words that Lambda has for it."""
        try:
            process = await trio.lowlevel.open_process(
                self._command(),
                env=self._handler_environ(address),
                cwd=self._options.folder,
                stdin=subprocess.DEVNULL,
                stdout=self._output.write_fd,
                stderr=self._output.write_fd,
                pass_fds=(self._observer.write_fd,),
                start_new_session=True,
            )
        except OSError as problem:
            self._show(f"{problem.filename}: {problem.strerror}")
            return f"{self._options.handler[0]} cannot be started: {problem.strerror}"
        finally:
            self._output.close_write()
            self._observer.close_write()
        self._sandbox.add_leader(process.pid)
        try:
            self._recorder.now("environment-started", pid=process.pid, runtimeApi=address)
            await process.wait()
        finally:
            await self._sandbox.kill()
            with trio.CancelScope(shield=True):
                status = await process.wait()
            self._recorder.now("environment-ended", exitStatus=status)
        return _exit_reason(status)

    def _command(self) -> list[str]:
        if not self._options.runner:
            return list(self._options.handler)
        # -P: a file in the handler's directory must not be taken for one of our modules.
        return [sys.executable, "-P", "-m", "aws_lambda_post_runner", "run", "--", *self._options.handler]

    def _handler_environ(self, address: str) -> dict[str, str]:
        environ = self._environ | {
            ADDRESS_VARIABLE: address,
            LOG_STREAM: self._log_stream,
            "AWS_LAMBDA_FUNCTION_TIMEOUT": str(math.ceil(self._options.timeout_s)),
        }
        environ.pop(MAX_CONCURRENCY, None)
        if self._concurrent:
            environ[MAX_CONCURRENCY] = str(self._options.concurrency)
            environ["AWS_LAMBDA_INITIALIZATION_TYPE"] = "lambda-managed-instances"
        if self._options.runner:
            environ[OBSERVER_FD.full_name] = str(self._observer.write_fd)
        return environ

    # What the Runtime API tells its host.

    def polled(self) -> None:
        """Note the end of init; have in order what was written before the poll."""
        self._drain()
        if not self._ready.is_set():
            self._ready.set()
            self._ready_at = time.monotonic()
            self._recorder.now("environment-ready")

    def idle(self) -> None:
        """Freeze, if that is wanted; Managed Instances are never frozen."""
        if self._options.freeze and not self._concurrent:
            self._recorder.now("frozen", processes=self._sandbox.freeze())

    def handed(self, invocation: Invocation) -> None:
        """Thaw, and watch the invocation's deadline."""
        if invocation.arrived < self._ready_at:
            invocation.start_s = self._ready_at - invocation.arrived
        if thawed := self._sandbox.thaw():
            self._recorder.now("thawed", processes=thawed)
        self._recorder.now("handed", invocation.request_id, deadlineMs=invocation.deadline_ms)
        self._nursery.start_soon(self._watch_deadline, invocation)

    def settled(self, invocation: Invocation, outcome: Outcome) -> None:
        """On Managed Instances no poll says when all is done: then it is the answer, or the command's end."""
        if not self._concurrent:
            return
        if self._runs_command_after(outcome):
            self._awaiting_command[invocation.request_id] = invocation
        else:
            self._runtime_api.end(invocation, "answered")

    def _runs_command_after(self, outcome: Outcome) -> bool:
        if not self._options.runner or self._environ.get(DISABLED.full_name):
            return False
        try:
            modes = settings.read(self._handler_environ("127.0.0.1:1")).modes
        except settings.SettingsError:
            return False
        return (Mode.AFTER_RESPONSE if outcome is Outcome.RESPONSE else Mode.AFTER_ERROR) in modes

    async def _watch_init(self) -> None:
        with trio.move_on_after(max(INIT_LIMIT_S, self._options.timeout_s)):
            await self._ready.wait()
            return
        self._runtime_api.handler_ended("Init timed out")
        self._nursery.cancel_scope.cancel()

    async def _watch_deadline(self, invocation: Invocation) -> None:
        with trio.move_on_after(self._options.timeout_s):
            await invocation.ended.wait()
            return
        self._drain()
        if not self._concurrent:
            self._recorder.now("killed", invocation.request_id, programs=self._left_running())
        self._runtime_api.time_out(invocation)
        if not self._concurrent:
            self._nursery.cancel_scope.cancel()

    def _left_running(self) -> list[str]:
        """Return the command lines of what runs beside the handler and us: what post work and children left."""
        handler = " ".join(self._options.handler)
        known = {handler, " ".join(self._command())}
        return [program for program in self._sandbox.programs() if program not in known]

    # What the processes tell us.

    def _drain(self) -> None:
        self._output.drain()
        self._observer.drain()

    def _show(self, line: str) -> None:
        self._recorder.now("output", line=line)

    def _observe(self, line: str) -> None:
        self._output.drain()  # what a command has written comes before its end
        observed: dict[str, Any] = json.loads(line)
        what, request_id = observed.pop("event"), observed.pop("requestId", None)
        if what == "settled":  # the Runtime API has recorded that itself
            return
        self._recorder.record(Moment(what, observed.pop("time"), request_id, observed))
        if what in {"post-command-started", "fallback-command-started"}:
            self._sandbox.add_leader(observed["pid"])
        if what == "post-command-ended" and request_id in self._awaiting_command:
            self._runtime_api.end(self._awaiting_command.pop(request_id), "answered")


def _exit_reason(status: int) -> str:
    match status:
        case 0:
            return "Runtime exited without providing a reason"
        case _ if status < 0:
            return f"Runtime exited with error: signal: {signal.Signals(-status).name}"
        case _:
            return f"Runtime exited with error: exit status {status}"
