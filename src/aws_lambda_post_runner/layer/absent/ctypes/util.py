"""Finds no library, for none could be loaded; trio then does without names for its threads."""


def find_library(_name: str) -> None:
    """Say that there is none, as the real one does where it finds nothing."""
