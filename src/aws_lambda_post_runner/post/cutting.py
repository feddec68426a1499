"""How the post work of one invocation is cut off, whichever part of it is under way."""

import trio


class Cutting:
    """Gives each part of the post work, one after the other, a scope to run in."""

    def __init__(self) -> None:
        self._scope: trio.CancelScope | None = None
        self.is_cut = False
        """Whether it had to end because of a signal."""

    def cut(self) -> None:
        """End the part that is under way, and those that would be next."""
        self.is_cut = True
        if self._scope is not None:
            self._scope.cancel()

    def next_scope(self) -> trio.CancelScope:
        """For the next part. Cancelled from the start if it is not to begin any more."""
        scope = self.last_scope()
        if self.is_cut:
            scope.cancel()
        return scope

    def last_scope(self) -> trio.CancelScope:
        """For a part that is due even now, since it keeps what would be lost. Another cut ends it."""
        scope = self._scope = trio.CancelScope()
        return scope
