"""The line of a file on which something stands, without a parser that would keep it. Pure."""

import re
from collections.abc import Sequence


def line_of(lines: Sequence[str], *keys: str) -> int | None:
    """Return the number of the line of the last of some keys, each of which stands behind the one before.

    It reads `KEY:` in YAML, `"KEY":` in JSON and `KEY=`; None where one of them is not there.
    """
    number = 0
    for key in keys:
        pattern = re.compile(rf"(?<![\w.-])[\"']?{re.escape(key)}[\"']?\s*[:=]")
        found = (at for at in range(number, len(lines)) if pattern.search(lines[at]))
        number = next(found, -1)
        if number < 0:
            return None
    return number + 1
