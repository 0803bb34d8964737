"""Sends deliveries that other replicas offer, and leaves the end of their dispatches to them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import trio

from carillon.dispatches.channel_feed import ChannelFeed
from carillon.dispatches.dispatch import CUT_SHORT, Dispatch, DispatchContext, ResumeState
from carillon.dispatches.planner import Planner, Ports
from carillon.dispatches.recovery import Given
from carillon.dispatches.running import Running, RunningDispatches
from carillon.dispatches.snapshot import Request, empty_request
from carillon.messages.errors import BadCommand
from carillon.messages.events import DispatchCrashed
from carillon.messages.model import Channel
from carillon.messages.ports.records import Unfinished
from carillon.messages.ports.work_sharing import Taken, Weigh


class BorrowedWork:
    """Sends deliveries for other replicas; `context` is the one for parts of dispatches."""

    def __init__(
        self,
        ports: Ports,
        planner: Planner,
        context: DispatchContext,
        nursery: trio.Nursery,
        running: RunningDispatches,
    ) -> None:
        self._ports = ports
        self._planner = planner
        self._context = context
        self._nursery = nursery
        self._running = running
        self._closed = False

    async def take(self, room: Mapping[Channel, int], weigh: Weigh) -> None:
        """Take as many deliveries as each channel has room for. Raises JournalUnavailable."""
        if self._ports.pool is None or self._closed or not room:
            return
        for taken in await self._ports.pool.take(room, weigh):
            part = self._running.borrow(taken.dispatch.id)
            self._nursery.start_soon(self._see_through, taken, part)

    def close(self) -> None:
        """Take nothing more."""
        self._closed = True

    async def _see_through(self, taken: Taken, part: Running) -> None:
        try:
            with part.scope:
                dispatch = await self._dispatch(taken, part.stop)
                part.begin(dispatch)
                await dispatch.run()
                if dispatch.crashed:  # the replica that offered them awaits the outcomes
                    await dispatch.fail_the_rest()
        finally:
            self._running.give_back(taken.dispatch.id, part)

    async def _dispatch(self, taken: Taken, stop: trio.Event) -> Dispatch:
        unfinished, given = taken.dispatch, Given(taken.deliveries)
        begun = ResumeState(unfinished.cancelled, caller=unfinished.caller)
        request = empty_request(unfinished.channels)
        try:
            request, ways = await self._ways(unfinished, given, stop)
        except Exception as error:  # a bug with one dispatch must not end the others
            self._ports.observe(DispatchCrashed(unfinished.id, error))
            begun = replace(begun, crash=CUT_SHORT)
            ways = self._planner.wreck(unfinished, stop, given)
        return Dispatch(unfinished.id, request, ways, self._context, stop, begun)

    async def _ways(
        self, unfinished: Unfinished, given: Given, stop: trio.Event
    ) -> tuple[Request, Sequence[ChannelFeed]]:
        go_on = self._planner.go_on
        try:
            request = await self._planner.stored_request(unfinished.id, stop)
            return request, await go_on(unfinished, request, stop, given=given)
        except BadCommand as error:
            request = empty_request(unfinished.channels)
            refusal = str(error)
            return request, await go_on(unfinished, request, stop, refusal=refusal, given=given)
