"""Nothing is lost, doubled or left behind, whatever goes wrong, however often.

`SOAK_INVOCATIONS` says how many invocations there are, `SOAK_SEED` from which seed their faults are drawn; the
summary is printed (`pytest -rP`). The runner, the handler and the commands are real processes.
"""

import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

import pytest
import trio

from tests.running import RUNNER

from .handler import STATUS
from .plan import Plan, draw_plans, draw_plans_at_once
from .runtime_api import LINE, RuntimeApi

INVOCATIONS = int(os.environ.get("SOAK_INVOCATIONS", "5000"))
SECONDS_EACH = 0.1
"""How long an invocation may take on average, and twenty times what it does; only a hang takes longer."""
MORE_MEMORY = 2 * 1024 * 1024
"""By how much the last quarter may have more than the second, as a rule: memory comes in pieces."""

COMMAND = f"""
id=$AWS_LAMBDA_POST_RUNNER_REQUEST_ID
printf '%-{LINE - 1}s\\n' "$id $AWS_LAMBDA_POST_RUNNER_OUTCOME" >> "$SOAK_LOG"
case $id in
*-fails) exit 3 ;;
*-killed) kill -KILL $$ ;;
*-leaves) sleep 0.5 & ;;
*-overruns) trap '' TERM; sleep 60 ;;
esac
"""

pytestmark = [pytest.mark.soak, pytest.mark.timeout(120 + INVOCATIONS * SECONDS_EACH)]


@dataclass(frozen=True)
class Kind:
    """What kind of function is soaked."""

    invocations: int
    at_once: int
    """How many invocations are in flight at once; more than one: on Lambda Managed Instances."""

    @property
    def draw(self) -> Callable[[int, int], Iterator[Plan]]:
        return draw_plans if self.at_once == 1 else draw_plans_at_once

    @property
    def environment(self) -> dict[str, str]:
        return {} if self.at_once == 1 else {"AWS_LAMBDA_MAX_CONCURRENCY": str(self.at_once)}


KINDS = {"one at a time": Kind(INVOCATIONS, 1), "16 at once": Kind(INVOCATIONS // 4, 16)}


class Soak:
    """One run: its files, its mark on every process, and the runner's status."""

    def __init__(self, folder: Path, seed: int, kind: Kind) -> None:
        self.log, self.events, self.said = folder / "log", folder / "events", folder / "said"
        self.log.touch()
        self.mark = f"SOAK_MARK={seed}-{os.getpid()}"
        self._seed = seed
        self._kind = kind
        self.status: int | None = None

    async def run(self) -> RuntimeApi:
        """Let the handler have all its invocations, and see the runner exit."""
        with self.log.open("rb") as log, self.said.open("wb") as said:
            kind, seed = self._kind, self._seed
            plans = kind.draw(kind.invocations, seed)
            api = RuntimeApi(plans, kind.invocations, seed, log.fileno(), kind.at_once)
            with trio.fail_after(60 + kind.invocations * SECONDS_EACH):
                async with trio.open_nursery() as nursery:
                    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
                    nursery.start_soon(partial(trio.serve_listeners, api.serve, listeners))
                    address = "{}:{}".format(*listeners[0].socket.getsockname())
                    runner = await trio.lowlevel.open_process(
                        [*RUNNER, *self._handler()],
                        env=self._environment(address),
                        stderr=said,
                    )
                    api.runner_pid = runner.pid
                    try:
                        self.status = await runner.wait()
                    finally:
                        runner.kill()
                    nursery.cancel_scope.cancel()
        return api

    def processes(self) -> list[str]:
        """What still runs of all that was started."""
        found = []
        for path in Path("/proc").glob("[0-9]*"):
            try:
                if self.mark.encode() in (path / "environ").read_bytes():
                    found.append((path / "cmdline").read_text())
            except OSError:
                continue  # it has ended meanwhile, or is not ours
        return found

    def _handler(self) -> list[str]:
        return [sys.executable, "-S", str(Path(__file__).parent / "handler.py"), str(self.events)]

    def _environment(self, address: str) -> dict[str, str]:
        name, _, mark = self.mark.partition("=")
        own = {
            "AWS_LAMBDA_RUNTIME_API": address,
            "AWS_LAMBDA_POST_RUNNER_COMMAND": COMMAND,
            "AWS_LAMBDA_POST_RUNNER_SHELL": "/bin/sh",
            "SOAK_LOG": str(self.log),
            name: mark,
        }
        return {"PATH": os.environ["PATH"], **own, **self._kind.environment}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the runner is looked at in /proc")
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_lost_doubled_or_left_behind(kind: str, tmp_path: Path) -> None:
    seed = int(os.environ.get("SOAK_SEED") or random.SystemRandom().randrange(1 << 32))
    print(f"SOAK_SEED={seed}")
    soak, began = Soak(tmp_path, seed, KINDS[kind]), time.monotonic()
    api = trio.run(soak.run)
    summarise(api, time.monotonic() - began)

    assert api.problems == []
    assert soak.status == STATUS
    assert "Traceback" not in soak.said.read_text()
    assert api.handed_out == list(range(KINDS[kind].invocations))
    assert sorted(json.loads(soak.events.read_text())) == api.handed_out
    assert Counter(map(str.strip, soak.log.read_text().splitlines())) == api.accepted
    await_end_of(soak)
    check_not_grown([descriptors for descriptors, _ in api.samples])
    check_flat([memory for _, memory in api.samples])


def await_end_of(soak: Soak) -> None:
    """Commands leave processes behind that end by themselves half a second later; all others have ended."""
    ends = time.monotonic() + 5
    while left := soak.processes():
        assert all(each.startswith("sleep\0000.5") for each in left)
        assert time.monotonic() < ends
        time.sleep(0.05)


def check_not_grown(samples: list[int]) -> None:
    """What comes and goes has been as few in the last quarter as in the second. One that leaks has not."""
    quarter = len(samples) // 4
    assert min(samples[-quarter:]) <= max(samples[quarter : 2 * quarter]), samples


def check_flat(samples: list[int]) -> None:
    quarter = len(samples) // 4
    assert median(samples[-quarter:]) - median(samples[quarter : 2 * quarter]) <= MORE_MEMORY, samples


def summarise(api: RuntimeApi, seconds: float) -> None:
    done, taken = len(api.handed_out), api.accepted.total()
    print(f"{done} invocations in {seconds:.0f} s ({done / seconds:.0f} per s), {taken} answers accepted")
    print(f"{api.kinds.total()} things went wrong:")
    for kind, count in sorted(api.kinds.items()):
        print(f"{count:9}  {kind}")
    print("descriptors of the runner, from begin to end:", *(count for count, _ in api.samples))
    print("its MiB resident:", *(f"{memory / 1024 / 1024:.1f}" for _, memory in api.samples))
