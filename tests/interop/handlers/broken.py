"""Cannot do what it is asked."""


def handler(_event: object, _context: object) -> None:
    raise LookupError("nothing is there")
