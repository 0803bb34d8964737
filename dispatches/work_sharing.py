"""Shares one channel of a dispatch with other replicas, and collects what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import trio

from carillon.dispatches.collector import Collector
from carillon.dispatches.feed import Feed, Item
from carillon.dispatches.recovery import PendingDelivery, PendingReader
from carillon.messages.model import Delivery, Receipt
from carillon.messages.ports.journal import Enrolment, Journal
from carillon.messages.ports.work_sharing import SharedQueue
from carillon.messages.retry import retry_until

if TYPE_CHECKING:
    from carillon.dispatches.channel_feed import ChannelFeed

T = TypeVar("T")

LOOK: Final = 0.25
"""Seconds between two looks at what was offered."""
OFFER: Final = 500
"""How many deliveries are offered at once, when fewer than half of them are still free."""
LOW: Final = 50
"""With fewer deliveries than this queued in its own channel, some of the last are taken back."""
FEWEST: Final = 20
"""How many of the last deliveries of a dispatch are worth taking back at once."""


class WorkSharing:
    """Offers what its own channel has no room for, as long as another replica could take it.

    `turn` is held while the audience is read: it is read in order, whichever replica is to send.
    """

    def __init__(
        self,
        way: ChannelFeed,
        pool: SharedQueue,
        journal: Journal,
        collector: Collector,
        stop: trio.Event,
    ) -> None:
        self.turn = trio.Lock()
        self._feed: Feed = way.feed
        self._left: PendingReader = way.left
        self._is_resumed = way.is_resumed
        self._pool = pool
        self._journal = journal
        self._collector = collector
        self._stop = stop
        self._caught_up = trio.Event()
        self._fed = trio.Event()
        self._found: set[str] = set()  # held by others since before this process began
        self._offered: set[str] = set()
        self._free = 0

    async def run(
        self,
        room: Callable[[], Awaitable[int]],
        queued: Callable[[], int],
        take_up: Callable[[Sequence[PendingDelivery]], None],
        is_cancelled: Callable[[], bool],
    ) -> None:
        """Share until nothing is elsewhere any more, or it has to stop.

        `room` waits until the channel here has some, `queued` returns how many deliveries wait
        there, and `take_up` gets what comes back.
        """
        if self._is_resumed:
            await self._find()
            # Before that, what is taken back would be read a second time among the leftovers.
            await self._caught_up.wait()
        else:
            await self._rest()
        while not self._stop.is_set() or is_cancelled():
            if self._feed.is_over and not self._elsewhere:
                return
            if self._elsewhere:
                wants = await room() if self._takes_back(queued, is_cancelled) else 0
                await self._settle(wants if is_cancelled() else min(wants, self._part), take_up)
            if not (self._feed.is_over or is_cancelled()) and self._free < OFFER // 2:
                await self._offer()
            await self._rest()

    @property
    def _elsewhere(self) -> set[str]:
        return self._found | self._offered

    def _takes_back(self, queued: Callable[[], int], is_cancelled: Callable[[], bool]) -> bool:
        """Whether offers that are still free are sent here: all is read, and little waits here.

        Any earlier, the others would have nothing left to do while this one still sends its own.
        """
        return is_cancelled() or (self._feed.is_over and queued() < LOW)

    @property
    def _part(self) -> int:
        """How many free offers this replica takes back at once: as many as the others take."""
        return max(FEWEST, -(-self._free // self._pool.replicas))

    def here(self, keys: Iterable[str]) -> None:
        """Note that these leftovers are sent here, whichever replica held them before."""
        self._found.difference_update(keys)

    def caught_up(self) -> None:
        """Note that all leftovers have been read."""
        self._caught_up.set()

    def fed(self) -> None:
        """Note that nothing more is read here: `run` ends at once if nothing is elsewhere."""
        self._fed.set()

    async def _rest(self) -> None:
        with trio.move_on_after(LOOK):
            if self._fed.is_set():
                await trio.sleep_forever()
            await self._fed.wait()

    async def _find(self) -> None:
        feed = self._feed
        find = partial(self._pool.elsewhere, feed.composer.dispatch_id, feed.channel)
        self._found = set(await self._insist(find) or ())

    async def _settle(
        self, room: int, take_up: Callable[[Sequence[PendingDelivery]], None]
    ) -> None:
        feed, keys = self._feed, sorted(self._elsewhere)
        settle = partial(self._pool.settle, feed.composer.dispatch_id, feed.channel, keys, room)
        settled = await self._insist(settle)
        if settled is None:
            return
        self._free = settled.free
        self._back({one.key for one in settled.ended})
        for receipt in settled.ended:
            self._collector.hear(receipt)
        if settled.taken:
            composed = await self._insist(partial(self._left.compose, settled.taken))
            self._back({one.key for one in settled.taken})
            take_up(composed or ())

    def _back(self, keys: set[str]) -> None:
        """Note that these are no longer elsewhere; those found at the start count from now on."""
        self._collector.expect(len(self._found & keys))
        self._found -= keys
        self._offered -= keys

    async def _offer(self) -> None:
        if not self._pool.has_company:
            return
        # Reading and enrolling are one step: the channel's own feeder reads the same feed.
        async with self.turn:
            items = await self._feed.next(OFFER)
            if items:
                await self._enrol(items)

    async def _enrol(self, items: Sequence[Item]) -> None:
        feed = self._feed
        identity, progress = feed.composer.dispatch_id, feed.progress
        ended = [item for item in items if isinstance(item, Receipt)]
        rows = [_row(item) for item in ended]
        enrol = partial(self._journal.enrol, identity, rows, progress)
        new = await self._insist(enrol) if rows else ()
        for receipt, is_new in zip(ended, new or (), strict=False):
            if is_new:
                self._collector.expect(1)
                self._collector.notify(receipt)
        offers = [_row(item) for item in items if isinstance(item, Delivery)]
        offer = partial(self._pool.offer, identity, offers, progress)
        new = await self._insist(offer) if offers else ()
        fresh = {row.key for row, is_new in zip(offers, new or (), strict=False) if is_new}
        self._collector.expect(len(fresh))
        self._offered |= fresh
        self._free += len(fresh)

    async def _insist(self, once: Callable[[], Awaitable[T]]) -> T | None:
        return await retry_until(once, self._stop, first_delay=0.1, max_delay=5.0)


def _row(item: Item) -> Enrolment:
    return Enrolment(item.channel, item.key, item.user_id)
