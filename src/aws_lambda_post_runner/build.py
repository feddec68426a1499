"""Which build this is, and how it was started: a layer's has the first of these replaced, and sets the second."""

BUILD = "source"
"""The layer that this belongs to and the commit that it was made from."""

STARTED = ""
"""What was unusual about this start, to be said at debug; empty if nothing was."""
