"""How the post work of one invocation is cut off, whichever part of it is under way."""

import trio


class Cutting:
    """Gives each part of the post work, one after the other, a scope to run in."""

    def __init__(self) -> None:
        self._scope: trio.CancelScope | None = None
        self._reserve = 0.0
        self.is_cut = False
        """Whether it had to end because of a signal."""

    def cut(self) -> None:
        """End the part that is under way, if it has no reserve left, and those that would be next."""
        reserve = 0.0 if self.is_cut else self._reserve
        self.is_cut = True
        if self._scope is None:
            return
        if reserve:
            self._scope.deadline = min(self._scope.deadline, trio.current_time() + reserve)
        else:
            self._scope.cancel()

    def next_scope(self) -> trio.CancelScope:
        """For the next part. Cancelled from the start if it is not to begin any more."""
        scope = self.last_scope()
        if self.is_cut:
            scope.cancel()
        return scope

    def last_scope(self, reserve: float = 0.0) -> trio.CancelScope:
        """For a part that is due even after a cut, since it keeps what would be lost. Another cut ends it.

        If the first cut comes while it is under way, it has `reserve` seconds from then on.
        """
        self._reserve = reserve
        scope = self._scope = trio.CancelScope()
        return scope
