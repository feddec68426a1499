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
        scope = self._scope_with(0.0)
        if self.is_cut:
            scope.cancel()
        return scope

    def last_scope(self, reserve: float) -> trio.CancelScope:
        """For a part that is due even after a cut, since it keeps or tells what would be lost. Another cut ends it.

        It has `reserve` seconds from the cut on, or from now on if that has been.
        """
        scope = self._scope_with(reserve)
        if self.is_cut:
            scope.deadline = trio.current_time() + reserve
        return scope

    def _scope_with(self, reserve: float) -> trio.CancelScope:
        self._reserve = reserve
        self._scope = trio.CancelScope()
        return self._scope
