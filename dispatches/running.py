"""What runs in this process: its own dispatches, and the parts it has borrowed from others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import trio

from carillon.dispatches.dispatch import Dispatch
from carillon.messages.offload import Claim


@dataclass(eq=False, slots=True)
class Running:
    """A dispatch on its way here, or a part of one; once `stop` is set nothing more of it starts.

    `held` is the part of the shared memory budget that its texts take.
    """

    stop: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    dispatch: Dispatch | None = None
    caller: str = ""
    held: Claim | None = None

    def begin(self, dispatch: Dispatch) -> None:
        """Attach the dispatch; if this was suspended before, the dispatch does nothing."""
        self.dispatch = dispatch
        if self.scope.cancel_called:
            dispatch.suspend()

    def suspend(self) -> None:
        """Leave what has not ended to the next start, or to another process."""
        self.scope.cancel()
        if self.dispatch is not None:
            self.dispatch.suspend()

    def release(self) -> None:
        """Give back the memory it holds."""
        if self.held is not None:
            self.held.release()


class RunningDispatches:
    """Every dispatch that has deliveries on their way here.

    A dispatch may be in it more than once: a replica may take over one of which it has borrowed
    parts. An entry that comes after everything was halted or suspended is so from the beginning.
    """

    def __init__(self) -> None:
        self._own: dict[str, Running] = {}
        self._borrowed: dict[str, set[Running]] = {}
        self._is_halted = False
        self._is_suspended = False

    def __contains__(self, dispatch_id: str) -> bool:
        """Whether this process owns a dispatch."""
        return dispatch_id in self._own

    @property
    def own(self) -> frozenset[str]:
        """The dispatches that this process owns: it sees them through to their end."""
        return frozenset(self._own)

    @property
    def borrowed(self) -> frozenset[str]:
        """The dispatches of which a part is sent here for another replica."""
        return frozenset(self._borrowed)

    def dispatch(self, dispatch_id: str) -> Dispatch | None:
        """The dispatch of this process with this id, once it has begun."""
        running = self._own.get(dispatch_id)
        return None if running is None else running.dispatch

    def enter(self, dispatch_id: str, running: Running) -> None:
        """Own a dispatch from now on, until `leave`."""
        self._own[dispatch_id] = running
        self._catch_up(running)

    def leave(self, dispatch_id: str) -> Running:
        """Own a dispatch no longer; raises KeyError if it is not owned."""
        return self._own.pop(dispatch_id)

    def borrow(self, dispatch_id: str) -> Running:
        """Send a part of another replica's dispatch from now on, until `give_back`."""
        part = Running()
        self._borrowed.setdefault(dispatch_id, set()).add(part)
        self._catch_up(part)
        return part

    def give_back(self, dispatch_id: str, part: Running) -> None:
        """End a part: nothing of it is on its way here any more."""
        parts = self._borrowed[dispatch_id]
        parts.remove(part)
        if not parts:
            del self._borrowed[dispatch_id]

    def cancel_at_once(self, dispatch_id: str) -> None:
        """Start nothing more of a dispatch that is on record as cancelled."""
        found = [self._own.get(dispatch_id), *self._borrowed.get(dispatch_id, ())]
        for running in found:
            if running is not None and running.dispatch is not None:
                running.dispatch.cancel_at_once()

    def halt(self) -> None:
        """Start nothing further, nor anything of what comes later."""
        self._is_halted = True
        for running in self._all():
            running.stop.set()

    def suspend(self) -> None:
        """Leave everything that has not ended, and what comes later, to the next start."""
        self._is_suspended = True
        self.disown()

    def disown(self) -> None:
        """Leave everything that is here now to other replicas."""
        for running in self._all():
            running.suspend()

    def _all(self) -> Iterator[Running]:
        yield from self._own.values()
        for parts in self._borrowed.values():
            yield from parts

    def _catch_up(self, running: Running) -> None:
        if self._is_halted:
            running.stop.set()
        if self._is_suspended:
            running.suspend()
