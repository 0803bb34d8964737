"""Accepts commands: validates and prepares each one, then sees its dispatch through to its end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final
from uuid import uuid4

import trio

from carillon.dispatches.borrowed_work import BorrowedWork
from carillon.dispatches.dispatch import CUT_SHORT, Dispatch, DispatchContext, ResumeState
from carillon.dispatches.planner import DispatchPolicy, Planner, Ports
from carillon.dispatches.running import Running, RunningDispatches
from carillon.dispatches.snapshot import empty_request
from carillon.messages.clock import milliseconds
from carillon.messages.commands import SendCommand
from carillon.messages.errors import (
    BadCommand,
    Conflict,
    Stopping,
    TooManyDispatches,
    TryLater,
    unwritable,
)
from carillon.messages.events import DispatchAccepted, DispatchCrashed, DispatchResumed
from carillon.messages.model import Channel, Document
from carillon.messages.offload import SMALL, Claim, Offload, Room
from carillon.messages.ports.journal import IdempotencyKey, NewDispatch, OneLog
from carillon.messages.ports.records import RecordFilter, Unfinished
from carillon.messages.ports.work_sharing import Weigh
from carillon.messages.retry import retry_until

MOST_HELD: Final = 134_217_728
"""Most bytes that the long requests of open dispatches take together: 128 MiB."""
_ERASED: Final = (
    "The dispatch cannot be sent again: its texts, data and inline recipients were erased when "
    "it ended. journal.keepContent keeps those of dispatches to come"
)


Step = Callable[[], Awaitable[None]]


async def nothing() -> None:
    """The step that does nothing."""


Conclude = Callable[[Dispatch], Awaitable[bool]]
"""Called when a dispatch has ended here, before its end is durable; False keeps it unfinished."""


class DispatchService:
    """Takes commands and sees each accepted dispatch through, even if its caller has left."""

    def __init__(
        self,
        ports: Ports,
        rules: DispatchPolicy,
        nursery: trio.Nursery,
        conclude: Conclude | None = None,
    ) -> None:
        self.rules = rules
        self._ports = ports
        self._planner = Planner(ports, rules)
        self._log = ports.journal if isinstance(ports.journal, OneLog) else None
        context = self._context(assists=True)
        self._running = RunningDispatches()
        self._borrowed = BorrowedWork(ports, self._planner, context, nursery, self._running)
        self._nursery = nursery
        self._conclude = conclude
        self._held = Room(MOST_HELD)
        self._open = Counter[str]()
        self._unsettled = 0
        self._closed = False
        self._idle = trio.Event()

    async def accept(
        self,
        command: SendCommand,
        key: IdempotencyKey | None = None,
        origin: Document | None = None,
        caller: str = "",
    ) -> Dispatch:
        """Start a dispatch for a caller; when this returns it is durable and goes on by itself.

        Raises:
            BadCommand: the command cannot be carried out; nothing was sent.
            TryLater: the service or a neighbour cannot do it now; nothing was sent.
        """
        # No await between the check and the count, or two callers would take the last place.
        self._check_room(caller)
        self._open[caller] += 1
        self._unsettled += 1
        going = Running(caller=caller)
        try:
            going.held = self._hold(command)
            dispatch = await self._prepare(command, key, origin, caller, going.stop)
        except BaseException:
            going.release()
            self._give_place_back(going)
            self._settle()
            raise
        self._running.enter(dispatch.id, going)
        going.begin(dispatch)
        dispatch.begin()
        self._nursery.start_soon(self._see_through, dispatch, going)
        return dispatch

    @property
    def offload(self) -> Offload:
        """Runs the work that is too long for the event loop."""
        return self._ports.offload

    async def resume(self) -> None:
        """Take up every dispatch that another process left. Raises JournalUnavailable."""
        for unfinished in await self._ports.recovery.unfinished(self._running.own):
            if unfinished.id not in self._running:  # a redrive may have entered it meanwhile
                going = self._enter(unfinished.id, unfinished.caller)
                self._nursery.start_soon(self._go_on, unfinished, going)

    def running(self, dispatch_id: str) -> Dispatch | None:
        """The dispatch with this id while it runs here."""
        return self._running.dispatch(dispatch_id)

    @property
    def borrowed(self) -> frozenset[str]:
        """The dispatches of other replicas of which a part is sent here."""
        return self._running.borrowed

    async def borrow(self, room: Mapping[Channel, int], weigh: Weigh) -> None:
        """Take of what other replicas offer, so much of each channel, callers in turn by weight.

        Raises JournalUnavailable.
        """
        await self._borrowed.take(room, weigh)

    async def cancel(self, dispatch_id: str, first: Step = nothing) -> None:
        """Start nothing more of a running dispatch; open calls end by themselves.

        One that runs in another process is cancelled on record, and that process will see it.
        `first` runs once nothing stands in the way; if it raises, nothing is cancelled.

        Raises:
            TryLater: the journal cannot be written, or the dispatch is just being taken up.
        """
        if self.running(dispatch_id) is None and dispatch_id in self._running:
            raise TryLater("The dispatch is just being taken up")
        # A caller that hangs up here must not leave it half done.
        with trio.CancelScope(shield=True):
            await first()
            dispatch = self.running(dispatch_id)
            if dispatch is not None:
                await dispatch.cancel()
            else:
                await self._ports.journal.cancel(dispatch_id)
                self._running.cancel_at_once(dispatch_id)

    def cancelled_elsewhere(self, dispatch_id: str) -> None:
        """Start nothing more of a dispatch that another replica put on record as cancelled."""
        self._running.cancel_at_once(dispatch_id)

    async def redrive(
        self, dispatch_id: str, wanted: RecordFilter, first: Step = nothing, caller: str = ""
    ) -> int:
        """Send ended deliveries of an ended dispatch again; returns how many there are.

        It counts among the open dispatches of `caller`, which asked for the dispatch. `first` runs
        once nothing stands in the way; if it raises, nothing is sent again.

        Raises:
            Conflict: it still runs, or its request was erased when it ended.
            TryLater: the journal cannot be written, or the service cannot do it now.
        """
        self._check_room()
        if dispatch_id in self._running:
            raise Conflict("The dispatch is still running")
        going = self._enter(dispatch_id, caller)  # before any await: only one takes it up
        number, unfinished = 0, None
        try:
            # A caller that hangs up here must not leave pending deliveries without a dispatch.
            with trio.CancelScope(shield=True):
                number = await self._make_pending(dispatch_id, wanted, first)
                find = partial(self._ports.recovery.find_unfinished, dispatch_id)
                unfinished = await retry_until(find, going.stop) if number else None
        finally:
            if unfinished is None:
                self._leave(dispatch_id)
        if unfinished is not None:
            self._nursery.start_soon(self._go_on, unfinished, going)
        return number

    def close(self) -> None:
        """Accept nothing more; accepted dispatches go on."""
        self._closed = True
        self._borrowed.close()
        if not self._unsettled:
            self._idle.set()

    async def idle(self) -> None:
        """Return once it is closed and the last dispatch has ended or was suspended."""
        await self._idle.wait()

    def halt(self) -> None:
        """Start no further delivery: what has not been read or queued is left to the next start."""
        self._running.halt()

    def suspend(self) -> None:
        """Leave everything that has not ended to the next start."""
        self._running.suspend()

    def disown(self) -> None:
        """Do nothing more for the dispatches running here: other replicas take them over."""
        for dispatch_id in self._running.own | self._running.borrowed:
            self._ports.post.disown(dispatch_id)
        self._running.disown()

    def _check_room(self, caller: str | None = None) -> None:
        if self._closed:
            raise Stopping("The service is stopping")
        if not self._has_place(caller):
            raise TooManyDispatches("Too many dispatches are open")
        if not self._ports.journal.is_working:  # before users are read, which may take long
            raise unwritable(self._ports.journal.trouble)

    async def _make_pending(self, dispatch_id: str, wanted: RecordFilter, first: Step) -> int:
        if await self._ports.recovery.request(dispatch_id) is None:
            raise Conflict(_ERASED)
        await first()
        return await self._ports.journal.redrive(dispatch_id, wanted)

    def _has_place(self, caller: str | None) -> bool:
        """Whether one more dispatch of a caller, or one that is redriven, may be open.

        When all places are taken, a caller that has less than an equal share of them is still let
        in, up to a quarter beyond the limit: so no caller is kept out by the dispatches of another.
        """
        most, taken = self.rules.open_dispatches, self._open.total()
        if taken < most or caller is None:
            return taken < most
        callers = len(self._open) + (caller not in self._open)
        part = max(1, most // callers)
        return self._open[caller] < part and taken < most + max(1, most // 4)

    def _give_place_back(self, going: Running) -> None:
        self._open[going.caller] -= 1
        if not self._open[going.caller]:
            del self._open[going.caller]

    def _hold(self, command: SendCommand) -> Claim:
        claim = self._held.try_claim(_held(command))
        if claim is None:
            raise TooManyDispatches("The open dispatches hold as much text as they may")
        return claim

    def _enter(self, dispatch_id: str, caller: str) -> Running:
        self._open[caller] += 1
        self._unsettled += 1
        going = Running(caller=caller)
        self._running.enter(dispatch_id, going)
        return going

    def _leave(self, dispatch_id: str) -> None:
        self._give_place_back(self._running.leave(dispatch_id))
        self._settle()

    def _settle(self) -> None:
        self._unsettled -= 1
        if self._closed and not self._unsettled:
            self._idle.set()

    async def _see_through(self, dispatch: Dispatch, going: Running) -> None:
        going.begin(dispatch)
        is_open = True
        try:
            await dispatch.run()
            if not dispatch.crashed:
                # The caller has its answer and may send the next one before this end is durable.
                self._give_place_back(going)
                is_open = False
            if await self._is_concluded(dispatch):
                await dispatch.close()
        finally:
            going.release()
            if is_open:
                self._give_place_back(going)
            self._running.leave(dispatch.id)
            self._settle()

    async def _is_concluded(self, dispatch: Dispatch) -> bool:
        if self._conclude is None:
            return True
        try:
            return await self._conclude(dispatch)
        except Exception as error:  # a bug in the conclusion; the dispatch must end all the same
            self._ports.observe(DispatchCrashed(dispatch.id, error))
            return True

    async def _prepare(
        self,
        command: SendCommand,
        key: IdempotencyKey | None,
        origin: Document | None,
        caller: str,
        stop: trio.Event,
    ) -> Dispatch:
        accepted_at = trio.current_time()
        lives = self._lives(command)
        now = milliseconds()
        ends = {channel: now + round(seconds * 1000) for channel, seconds in lives.items()}
        request = replace(await self._planner.request(command, ends), origin=origin)
        expiries = {channel: accepted_at + seconds for channel, seconds in lives.items()}
        identity = str(uuid4())
        ways = await self._planner.begin(identity, request, expiries, stop)
        dispatch = Dispatch(
            identity, request, ways, self._context(), stop, ResumeState(caller=caller)
        )
        text = await self.offload.run_if(bool(_held(command)), request.text)
        new = NewDispatch(identity, command.channels, text, key, caller, request.audience_size)
        await dispatch.open(new)
        self._ports.observe(DispatchAccepted(identity, command.channels))
        return dispatch

    async def _go_on(self, unfinished: Unfinished, going: Running) -> None:
        dispatch = None
        with going.scope:
            try:
                dispatch = await self._resumed(unfinished, going)
            except Exception as error:  # a bug with one dispatch must not end the others
                self._ports.observe(DispatchCrashed(unfinished.id, error))
                dispatch = await self._wreck(unfinished, going.stop, error)
        if dispatch is not None:
            self._ports.observe(DispatchResumed(dispatch.id, unfinished.channels))
            await self._see_through(dispatch, going)
        else:
            going.release()
            self._leave(unfinished.id)

    async def _resumed(self, unfinished: Unfinished, going: Running) -> Dispatch:
        planner, stop, is_lost = self._planner, going.stop, False
        try:
            request = await planner.stored_request(unfinished.id, going.stop)
            going.held = await self._held.claim(_held(request.command))
            ways = await planner.go_on(unfinished, request, stop)
        except BadCommand as error:
            is_lost, request = True, empty_request(unfinished.channels)
            ways = await planner.go_on(unfinished, request, stop, refusal=str(error))
        begun = ResumeState(
            unfinished.cancelled, unfinished.counts, is_lost, caller=unfinished.caller
        )
        return Dispatch(unfinished.id, request, ways, self._context(), stop, begun)

    async def _wreck(self, unfinished: Unfinished, stop: trio.Event, error: Exception) -> Dispatch:
        """A dispatch that a bug keeps from going on: it ends, and is not resumed at every start."""
        is_lost, request = True, empty_request(unfinished.channels)
        with suppress(Exception):  # its saga gets an event only if the request can be read
            request = await self._planner.stored_request(unfinished.id, stop)
            is_lost = False
        begun = ResumeState(
            unfinished.cancelled, unfinished.counts, is_lost, CUT_SHORT, unfinished.caller
        )
        ways = self._planner.wreck(unfinished, stop)
        return Dispatch(unfinished.id, request, ways, self._context(), stop, begun)

    def _context(self, *, assists: bool = False) -> DispatchContext:
        ports, rules = self._ports, self.rules
        return DispatchContext(
            ports.journal,
            ports.post,
            ports.observe,
            rules.most_failures,
            rules.keeps_content,
            None if assists else ports.pool,
            assists,
            ports.offload,
            self._log,
        )

    def _lives(self, command: SendCommand) -> Mapping[Channel, float]:
        """For how many seconds from now the deliveries of each channel are worth sending."""
        asked = command.seconds_left(datetime.now(UTC))
        if asked is not None:
            return dict.fromkeys(command.channels, asked)
        lives = self.rules.times_to_live
        return {name: lives[name] for name in command.channels if name in lives}


def _held(command: SendCommand) -> int:
    """What a command takes of the budget for long ones; the number of short ones bounds them."""
    size = command.size
    return size if size > SMALL else 0
