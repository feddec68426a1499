"""The runtime clients that the tests know: AWS's own for Python and Node, and loops of ours in the manner of others.

Each runs a function that does as it is told:

- an event is answered with itself, but for those below;
- `{"do":"fail"}` is answered with an error, `{"do":"exit"}` ends the process with status 7;
- `{"do":"stream"}` is answered with `one` and then, after a line on standard input, with `two`; `{"do":"break"}`
  with `one` and then, after the line, with an error. Only clients that can stream know these;
- with `FAILS` in its environment it reports an init error and ends.

On standard output it writes a line that begins with `saw` for whatever the client lets it see of each answer, and
`tick` twenty times a second from another thread.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Check(StrEnum):
    """What is seen to hold with each client: the columns of the matrix."""

    SAME = "answers as without us"
    REFUSED = "a refusal, too"
    EARLY = "answers early"
    HELD = "its poll is held"
    TICKS = "its threads run on"
    LARGE = "6 MB both ways"
    STREAMS = "streams"
    BREAKS = "fails in mid-stream"
    INIT_ERROR = "init error"
    EXIT = "exit status"
    SIGTERM = "SIGTERM"


@dataclass(frozen=True)
class Client:
    """One client: a row of the matrix. In its words `{parts}` is the folder of obtain.py, `{here}` this folder."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    """Files without which there is nothing to run; the program is looked for anyway."""
    cannot: Mapping[Check, str] = field(default_factory=dict)
    """What this client has no means for, and why."""
    tells_acknowledgements: bool = True
    """Whether it says what it sees when its answer was taken; those that are AWS's own tell nobody."""


IPV4 = "-Djava.net.preferIPv4Stack=true"
"""As Lambda starts Java."""


def _without_streams(why: str) -> dict[Check, str]:
    return {Check.STREAMS: why, Check.BREAKS: why}


def _python(version: str) -> Client:
    return Client(
        f"Python {version}, awslambdaric 4",
        (f"python{version}", "-m", "awslambdaric", "does_as_told.handler"),
        {"PYTHONPATH": f"{{parts}}/awslambdaric-{version}:{{here}}/../handlers"},
        cannot=_without_streams("awslambdaric does not stream"),
        tells_acknowledgements=False,
    )


def _node(version: str, handler: str, note: str, cannot: Mapping[Check, str]) -> Client:
    return Client(
        f"Node {version}, aws-lambda-ric 4, {note}",
        (f"{{parts}}/node{version}/bin/node", "{parts}/node_modules/aws-lambda-ric/index.mjs"),
        {"LAMBDA_TASK_ROOT": "{here}/../handlers", "_HANDLER": f"does_as_told.{handler}"},
        cannot=cannot,
        tells_acknowledgements=False,
    )


def _java(name: str, program: str) -> Client:
    return Client(
        name,
        ("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", IPV4, "-cp", "{parts}/java", program),
        needs=(f"{{parts}}/java/{program}.class",),
        cannot=_without_streams("AWS's client for Java does not stream"),
    )


CLIENTS = (
    *(_python(version) for version in ("3.11", "3.12", "3.13", "3.14")),
    *(
        client
        for version in ("22", "24")
        for client in (
            _node(version, "handler", "ESM", _without_streams("this handler answers as a whole")),
            _node(version, "streaming", "ESM, streaming", {}),
        )
    ),
    Client(
        "Ruby, Net::HTTP",
        ("ruby", "{here}/loop.rb"),
        cannot=_without_streams("AWS's client for Ruby does not stream"),
    ),
    Client("Go, net/http", ("{parts}/go-client",)),
    _java("Java, HttpURLConnection", "UrlConnectionLoop"),
    _java("Java, HttpClient", "HttpClientLoop"),
    Client(
        "PHP, curl",
        ("php", "{here}/loop.php"),
        cannot={**_without_streams("Bref's client does not stream"), Check.TICKS: "PHP has no threads"},
    ),
    Client(
        "bash, curl",
        ("bash", "{here}/loop.sh"),
        cannot={Check.BREAKS: "the command curl sends no trailers"},
    ),
)
