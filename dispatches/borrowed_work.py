"""Works on what other replicas offer of their dispatches, and leaves the end of those to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import trio

from carillon.dispatches.channel_feed import ChannelFeed
from carillon.dispatches.dispatch import CUT_SHORT, Dispatch, DispatchContext, ResumeState
from carillon.dispatches.planner import Planner, Ports
from carillon.dispatches.recovery import Given
from carillon.dispatches.snapshot import Request, empty_request
from carillon.messages.errors import BadCommand
from carillon.messages.events import DispatchCrashed
from carillon.messages.model import Channel
from carillon.messages.ports.records import Unfinished
from carillon.messages.ports.work_sharing import Taken


@dataclass(eq=False, slots=True)
class _Part:
    """Deliveries of one dispatch on their way here; setting `stop` starts nothing more of them."""

    dispatch_id: str
    stop: trio.Event = field(default_factory=trio.Event)
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    dispatch: Dispatch | None = None


class BorrowedWork:
    """What is sent here for others; `context` is those of parts of dispatches."""

    def __init__(
        self, rooms: Ports, preparation: Planner, context: DispatchContext, nursery: trio.Nursery
    ) -> None:
        self._rooms = rooms
        self._preparation = preparation
        self._context = context
        self._nursery = nursery
        self._parts: set[_Part] = set()
        self._closed = False

    @property
    def dispatch_ids(self) -> frozenset[str]:
        """The dispatches of which something is on its way here."""
        return frozenset(one.dispatch_id for one in self._parts)

    async def take(self, room: Mapping[Channel, int]) -> None:
        """Take what there is room for, so many of each channel. Raises JournalUnavailable."""
        if self._rooms.pool is None or self._closed or not room:
            return
        for taken in await self._rooms.pool.take(room):
            part = _Part(taken.dispatch.id)
            self._parts.add(part)
            self._nursery.start_soon(self._see_through, taken, part)

    def cancel(self, dispatch_id: str) -> None:
        """Start nothing more of a dispatch that is on record as cancelled."""
        for part in self._parts:
            if part.dispatch_id == dispatch_id and part.dispatch is not None:
                part.dispatch.cancel_at_once()

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True

    def halt(self) -> None:
        """Start nothing further."""
        for part in self._parts:
            part.stop.set()

    def suspend(self) -> None:
        """Leave everything that has not ended to whoever offered it."""
        for part in self._parts:
            part.scope.cancel()
            if part.dispatch is not None:
                part.dispatch.suspend()

    async def _see_through(self, taken: Taken, part: _Part) -> None:
        try:
            with part.scope:
                part.dispatch = await self._dispatch(taken, part.stop)
                await part.dispatch.run()
                if part.dispatch.crashed:  # who offered them waits for how they end
                    await part.dispatch.fail_the_rest()
        finally:
            self._parts.remove(part)

    async def _dispatch(self, taken: Taken, stop: trio.Event) -> Dispatch:
        unfinished, given = taken.dispatch, Given(taken.deliveries)
        begun = ResumeState(unfinished.cancelled, caller=unfinished.caller)
        request = empty_request(unfinished.channels)
        try:
            request, ways = await self._ways(unfinished, given, stop)
        except Exception as error:  # of one dispatch; the others go on
            self._rooms.observe(DispatchCrashed(unfinished.id, error))
            begun = replace(begun, crash=CUT_SHORT)
            ways = self._preparation.wreck(unfinished, stop, given)
        return Dispatch(unfinished.id, request, ways, self._context, stop, begun)

    async def _ways(
        self, unfinished: Unfinished, given: Given, stop: trio.Event
    ) -> tuple[Request, Sequence[ChannelFeed]]:
        go_on = self._preparation.go_on
        try:
            request = await self._preparation.stored_request(unfinished.id, stop)
            return request, await go_on(unfinished, request, stop, given=given)
        except BadCommand as error:
            request = empty_request(unfinished.channels)
            refusal = str(error)
            return request, await go_on(unfinished, request, stop, refusal=refusal, given=given)
