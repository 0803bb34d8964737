"""The course of one accepted dispatch: one feeder a channel, until the last delivery has ended.

A feeder composes, enrols and hands over deliveries slice by slice as its channel has room, so a
full channel never holds up the others. What an earlier process left goes first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final, TypeVar

import trio

from carillon.dispatches.channel_feed import ChannelFeed
from carillon.dispatches.collector import Collector, Report
from carillon.dispatches.feed import Feed, Item
from carillon.dispatches.recovery import PendingDelivery, PendingReader
from carillon.dispatches.snapshot import Request
from carillon.dispatches.work_sharing import WorkSharing
from carillon.messages.envelope import Envelope
from carillon.messages.events import DispatchCrashed, DispatchEnded, Observer
from carillon.messages.model import Channel, Delivery, Outcome, Receipt
from carillon.messages.offload import SMALL, Offload
from carillon.messages.ports.channel_queues import ChannelQueues
from carillon.messages.ports.journal import DispatchEnd, Enrolment, Journal, NewDispatch, OneLog
from carillon.messages.ports.work_sharing import SharedQueue
from carillon.messages.retry import retry_until

FIRST: Final = 20
"""How many deliveries of each channel are enrolled in the write that makes the dispatch durable: a
small request costs one write instead of two."""

_LOOK: Final = 0.5
"""Seconds between two looks at what other replicas hold of a dispatch that a bug has cut short."""
_MOST_FAILED: Final = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class DispatchContext:
    """What every dispatch works with. With `keeps_content` requests outlive their dispatches.

    With a `pool` other replicas may work on a dispatch. One that only `assists` another replica
    does not report its end.
    """

    journal: Journal
    post: ChannelQueues
    observe: Observer
    most_failures: int
    keeps_content: bool = False
    pool: SharedQueue | None = None
    assists: bool = False
    offload: Offload = field(default_factory=Offload)
    log: OneLog | None = None
    """The journal, if the first attempts of a dispatch may be written with it."""


@dataclass(frozen=True, slots=True)
class ResumeState:
    """What is known of a dispatch when it begins here: its caller, and what an earlier process did.

    `is_lost` means that its request cannot be read any more; `crash` says what cut it short.
    """

    cancelled: bool = False
    counts: Mapping[Outcome, int] = field(default_factory=dict)
    is_lost: bool = False
    crash: str | None = None
    caller: str = ""


class Dispatch:
    """One request on its way; `open` makes it an accepted one.

    `ended` is set when nothing more of it happens here; it is `suspended` if some of it is left to
    the next start. Once `stop` is set nothing more is started. `crash` describes the bug that cut
    it short: the deliveries that were handed over end first, then `close` fails the rest.
    """

    def __init__(
        self,
        identity: str,
        request: Request,
        ways: Sequence[ChannelFeed],
        context: DispatchContext,
        stop: trio.Event,
        begun: ResumeState = ResumeState(),
    ) -> None:
        self.id = identity
        self.request = request
        self.crash = begun.crash
        self.suspended = False
        self.cancelled = begun.cancelled
        self.ended = trio.Event()
        self._ways = ways
        self._context = context
        self._stop = stop
        self._collector = Collector(
            identity,
            context.journal.record,
            context.observe,
            context.most_failures,
            begun.counts,
            notes=context.assists,
            on_complete=self.ended.set,
        )
        self._handed = 0
        self._bug: Exception | None = None
        self._is_lost = begun.is_lost
        self._caller = begun.caller
        self._first: dict[Channel, Sequence[Item]] = {}
        self._shared: dict[Channel, WorkSharing] = {}
        self._scope = trio.CancelScope()

    @property
    def crashed(self) -> bool:
        """Whether a bug of ours has cut it short."""
        return self.crash is not None

    def report(self) -> Report:
        """What is known now; final once `ended` is set, and durable a moment later."""
        return self._collector.report()

    async def open(self, new: NewDispatch) -> None:
        """Make the dispatch and its first deliveries durable. Raises JournalUnavailable."""
        first = {way.feed.channel: await way.feed.next(FIRST) for way in self._ways}
        rows = [_row(item) for items in first.values() for item in items]
        new = replace(new, is_read=all(way.feed.is_over for way in self._ways))
        log, are_apart = (
            self._context.log,
            len({(row.channel, row.key) for row in rows}) == len(rows),
        )
        # A caller who hangs up here must not leave a dispatch that is on record and never starts.
        with trio.CancelScope(shield=True):
            if log is not None and are_apart:
                self._expect(first)
                withdraw = partial(self._context.post.disown, self.id)
                await log.open_with_starts(new, rows, self._begin_early, withdraw)
                return
            is_new = iter(await self._context.journal.open(new, rows))
        self._expect(
            {name: [item for item in items if next(is_new)] for name, items in first.items()}
        )

    def _expect(self, first: Mapping[Channel, Sequence[Item]]) -> None:
        self._first = dict(first)
        self._collector.expect(sum(map(len, first.values())))

    def _begin_early(self) -> None:
        """Hand deliveries over whose first attempts are written together with the dispatch.

        How others have ended is told once that is on record.
        """
        first = self._first
        self._first = {
            name: [one for one in items if isinstance(one, Delivery)]
            for name, items in first.items()
        }
        self.begin()
        self._first = {
            name: [one for one in items if not isinstance(one, Delivery)]
            for name, items in first.items()
        }

    def begin(self) -> None:
        """Hand over what is durable with the dispatch itself, before `run` has its turn."""
        if self._scope.cancel_called:
            return
        try:
            for way in self._ways:
                self._hand_over(way.feed, self._first.pop(way.feed.channel, ()))
        except Exception as bug:
            self._bug = bug

    async def run(self) -> None:
        """Feed every channel and wait for the last answer. A bug is reported, never raised."""
        started = trio.current_time()
        try:
            # `_cut_short` replaces the scope, so `suspended` is read from whichever is the last.
            with self._scope:
                if self.crash is None:
                    await self._deliver()
        except Exception as error:
            await self._cut_short(error)
        finally:
            self.suspended = self._scope.cancelled_caught
            self.ended.set()
        if not (self.suspended or self._context.assists):
            counts = self.report().counts
            self._context.observe(DispatchEnded(self.id, counts, trio.current_time() - started))

    async def close(self) -> None:
        """Make the end durable, after it was reported: that spares a waiting caller one write."""
        if self.suspended:
            return
        if self.crashed and not await self.fail_the_rest():
            return
        counts = self.report().counts
        is_long = self._context.keeps_content and self.request.command.size > SMALL
        kept = await self._context.offload.run_if(is_long, partial(self._kept, counts))
        end = DispatchEnd(all(way.feed.is_over for way in self._ways), self.crash)
        try:
            await self._durably(partial(self._context.journal.close, self.id, counts, kept, end))
        except Exception as error:
            self._context.observe(DispatchCrashed(self.id, error))

    async def fail_the_rest(self) -> bool:
        """Fail what a bug left without an outcome; False if that is left to the next start."""
        try:
            return bool(await self._durably(self._fail_the_rest))
        except Exception as error:  # a second bug: the dispatch must end all the same
            self._context.observe(DispatchCrashed(self.id, error))
            return True

    async def cancel(self) -> None:
        """Start nothing more of it; open calls end by themselves. Raises JournalUnavailable."""
        # Durable first: if the process dies here, the next start must not send the rest.
        await self._context.journal.cancel(self.id)
        self.cancel_at_once()

    def cancel_at_once(self) -> None:
        """Start nothing more of it, now that it is on record as cancelled."""
        if not self.cancelled:
            self.cancelled = True
            self._stop.set()
            self._context.post.cancel(self.id)

    def suspend(self) -> None:
        """Leave what has not ended to the next start."""
        self._scope.cancel()

    async def _cut_short(self, error: Exception) -> None:
        """Feed nothing more, and let the deliveries that were handed over end."""
        self.crash = CUT_SHORT
        self._context.observe(DispatchCrashed(self.id, error))
        # The old scope has been left; a suspension that came before the bug must still hold.
        is_over = self._scope.cancel_called
        with trio.CancelScope() as self._scope:
            if is_over:
                self._scope.cancel()
            self._collector.expect_only(self._handed)
            await self._collector.complete.wait()

    async def _fail_the_rest(self) -> bool:
        """Fail what is pending, until other replicas hold none of it; False if it has to stop."""
        while True:
            # Deliveries that were answered a moment ago must not be found pending.
            await self._context.journal.flush()
            for way in self._ways:
                await self._fail_what_is_left(way.left)
            if not await self._is_elsewhere():
                return True
            with trio.move_on_after(_LOOK):
                await self._stop.wait()
            if self._stop.is_set():
                return False

    async def _fail_what_is_left(self, left: PendingReader) -> None:
        collector, answered, after = self._collector, self._collector.answered or (), ""
        while found := await left.cut_short(after, _MOST_FAILED):
            after = found[-1][0]
            fresh = [one for key, one in found if (one.channel, key) not in answered]
            collector.expect(len(fresh))
            for receipt in fresh:
                collector.notify(receipt)

    async def _is_elsewhere(self) -> bool:
        pool = self._context.pool
        if pool is None:
            return False
        channels = [way.feed.channel for way in self._ways]
        return any([await pool.elsewhere(self.id, channel) for channel in channels])

    def _kept(self, counts: Mapping[Outcome, int]) -> str | bytes | None:
        """What a redrive needs, if there is something to redrive."""
        if self._is_lost:
            return None
        keeps = self._context.keeps_content
        is_all_sent = all(outcome == "sent" or not number for outcome, number in counts.items())
        return None if is_all_sent and not keeps else self.request.kept(with_content=keeps)

    async def _deliver(self) -> None:
        if self._bug is not None:
            raise self._bug
        shared = [way for way in self._ways if self._is_shared(way)]
        if len(self._ways) == 1 and not shared:  # a nursery costs a tenth of a small dispatch
            await self._feed(self._ways[0])
        else:
            async with trio.open_nursery() as nursery:
                for way in self._ways:
                    nursery.start_soon(self._feed, way)
                for way in shared:
                    nursery.start_soon(self._share, way)
        if not (self.cancelled or all(way.feed.is_over for way in self._ways)):
            await trio.sleep_forever()  # stopping: wait to be suspended
        self._collector.feeding_ended()
        await self._collector.complete.wait()

    def _is_shared(self, way: ChannelFeed) -> bool:
        """Whether other replicas may hold some of its deliveries, or be offered some."""
        pool = self._context.pool
        if pool is None or not (way.is_resumed or not way.feed.is_over):
            return False
        context = self._context
        self._shared[way.feed.channel] = WorkSharing(
            way, pool, context.journal, self._collector, self._stop
        )
        return True

    async def _share(self, way: ChannelFeed) -> None:
        feed = way.feed
        await self._shared[feed.channel].run(
            partial(self._room, feed),
            partial(self._context.post.queued, feed.channel, self.id),
            partial(self._hand_over_again, feed, expected=True),
            lambda: self.cancelled,
        )

    async def _feed(self, way: ChannelFeed) -> None:
        shared = self._shared.get(way.feed.channel)
        try:
            await self._read_on(way, shared)
        finally:
            if shared is not None:
                shared.fed()

    async def _read_on(self, way: ChannelFeed, shared: WorkSharing | None) -> None:
        feed = way.feed
        self._hand_over(feed, self._first.pop(feed.channel, ()))
        if way.is_resumed:
            await self._take_up(way, shared)
        while not (feed.is_over or self.cancelled or self._stop.is_set()):
            room = await self._room(feed)
            if shared is None:
                fresh = await self._further(feed, room)
            else:
                # Reading and enrolling are one step: `WorkSharing` reads the same feed.
                async with shared.turn:
                    fresh = await self._further(feed, room)
            if fresh is None:
                return
            self._hand_over(feed, fresh)

    async def _further(self, feed: Feed, room: int) -> Sequence[Item] | None:
        """At most `room` further items, enrolled; None at the end, or once it has to stop."""
        items = await feed.next(room)
        if not items:
            return None
        rows = [_row(item) for item in items]
        new = await self._durably(
            partial(self._context.journal.enrol, self.id, rows, feed.progress)
        )
        if new is None:
            return None
        # What is not new is a duplicate, or belongs to another process: sending it would be twice.
        fresh = [item for item, is_new in zip(items, new, strict=True) if is_new]
        self._collector.expect(len(fresh))
        return fresh

    async def _take_up(self, way: ChannelFeed, shared: WorkSharing | None) -> None:
        feed = way.feed
        while found := await way.left.next(await self._room(feed)):
            if shared is not None:
                shared.here(one.item.key for one in found)
            self._hand_over_again(feed, found)
        if shared is not None:
            shared.caught_up()

    def _hand_over_again(
        self, feed: Feed, found: Sequence[PendingDelivery], *, expected: bool = False
    ) -> None:
        tried = {one.item.key: one for one in found}
        if not expected:
            self._collector.expect(len(found))
        self._hand_over(feed, [one.item for one in found], tried)

    async def _room(self, feed: Feed) -> int:
        return await self._context.post.wait_for_capacity(
            feed.channel, self.id, feed.expires_at, self._caller
        )

    def _hand_over(
        self,
        feed: Feed,
        items: Sequence[Item],
        tried: Mapping[str, PendingDelivery] | None = None,
    ) -> None:
        collector, priority = self._collector, self.request.command.priority
        expires_at, caller = feed.expires_at, self._caller
        envelopes: list[Envelope] = []
        for item in items:
            if isinstance(item, Receipt):
                collector.notify(item)
            else:
                one = Envelope(item, collector.reply, priority, expires_at, caller=caller)
                envelopes.append(one)
        handed = len(envelopes)
        if tried is not None or self.cancelled:
            envelopes = [one for one in envelopes if self._goes_on(one, tried or {})]
        if envelopes:
            self._context.post.put(feed.channel, envelopes)
        self._handed += handed

    def _goes_on(self, envelope: Envelope, tried: Mapping[str, PendingDelivery]) -> bool:
        """Restore a delivery's past, and answer it if the dispatch was cancelled meanwhile."""
        if past := tried.get(envelope.delivery.key):
            envelope.remember(past.attempts, past.starts)
        if self.cancelled:
            envelope.in_doubt = envelope.in_doubt or envelope.open_attempt is not None
            envelope.cancel()
        return not envelope.answered

    async def _durably(self, write: Callable[[], Awaitable[T]]) -> T | None:
        """What `write` returns, retried until the journal takes it; None once it has to stop."""
        return await retry_until(write, self._stop, first_delay=0.1, max_delay=5.0)


CUT_SHORT: Final = "An internal error cut it short; the log has the details"
"""Why a dispatch crashed, for people. The text of the error itself may quote anything."""


def _row(item: Delivery | Receipt) -> Enrolment:
    return Enrolment(item.channel, item.key, item.user_id)
