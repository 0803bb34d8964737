"""The way of one accepted dispatch: one feeder a channel, until the last delivery has ended.

A feeder composes, enrols and hands over slice by slice as its own channel has room, so a full
channel never holds up the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeVar

import trio

from messages.backoff import jittered
from messages.collect import Collector
from messages.envelope import Envelope
from messages.errors import JournalUnavailable
from messages.events import DispatchCrashed, DispatchEnded, Observer
from messages.feed import Feed, Item
from messages.model import Priority, Receipt
from messages.ports import Enrolment, Journal, Post
from messages.report import Report

FIRST: Final = 20
"""So many deliveries of each channel are enrolled as the dispatch itself becomes durable: a small
request costs one write in place of two."""

T = TypeVar("T")


class Dispatch:
    """One request on its way; `open` makes it an accepted one."""

    def __init__(
        self,
        identity: str,
        feeds: Sequence[Feed],
        journal: Journal,
        post: Post,
        observe: Observer,
        most_failures: int,
        halted: trio.Event,
        priority: Priority = "normal",
    ) -> None:
        self.id = identity
        self.channels = [feed.channel for feed in feeds]
        self.crashed = False
        self.ended = trio.Event()
        self._feeds = feeds
        self._journal = journal
        self._post = post
        self._observe = observe
        self._halted = halted
        self._priority = priority
        self._collector = Collector(self.id, observe, most_failures)
        self._first: dict[Feed, Sequence[Item]] = {}

    def report(self) -> Report:
        """What is known now; final once `ended` is set, and durable a moment later."""
        return self._collector.report()

    async def open(self) -> None:
        """Make the dispatch and its first deliveries durable. Raises JournalUnavailable."""
        first = {feed: await feed.next(FIRST) for feed in self._feeds}
        rows = [_row(item) for items in first.values() for item in items]
        # A caller who hangs up here must not leave a dispatch that is on record and never starts.
        with trio.CancelScope(shield=True):
            new = iter(await self._journal.open(self.id, self.channels, rows))
        for feed, items in first.items():
            self._first[feed] = [item for item in items if next(new)]

    async def run(self) -> None:
        """Feed every channel and wait for the last answer. A bug is reported, never raised."""
        started = trio.current_time()
        try:
            await self._deliver()
        except Exception as error:
            self.crashed = True
            self._observe(DispatchCrashed(self.id, error))
        finally:
            self.ended.set()
        counts = self.report().counts
        self._observe(DispatchEnded(self.id, counts, trio.current_time() - started))

    async def close(self) -> None:
        """Make the end durable: after it was told, which costs a small request one write less."""
        if self.crashed:
            return
        counts = self.report().counts
        try:
            await self._durably(partial(self._journal.close, self.id, counts))
        except Exception as error:
            self._observe(DispatchCrashed(self.id, error))

    async def _deliver(self) -> None:
        if len(self._feeds) == 1:  # a nursery would be a tenth of what a small dispatch costs
            await self._feed(self._feeds[0])
        else:
            async with trio.open_nursery() as nursery:
                for feed in self._feeds:
                    nursery.start_soon(self._feed, feed)
        self._collector.feeding_ended()
        await self._collector.complete.wait()

    async def _feed(self, feed: Feed) -> None:
        self._hand_over(feed, self._first.pop(feed, ()))
        while not feed.is_over:
            room = await self._post.room(feed.channel, self.id, feed.expires_at)
            items = await feed.next(room)
            if not items:
                return
            rows = [_row(item) for item in items]
            new = await self._durably(partial(self._journal.enrol, self.id, rows))
            if new is not None:
                items = [item for item, is_new in zip(items, new, strict=True) if is_new]
            self._hand_over(feed, items)

    def _hand_over(self, feed: Feed, items: Sequence[Item]) -> None:
        collector = self._collector
        collector.expect(len(items))
        envelopes: list[Envelope] = []
        for item in items:
            if isinstance(item, Receipt):
                collector.reply(item)
            else:
                envelopes.append(Envelope(item, collector.reply, self._priority, feed.expires_at))
        if envelopes:
            self._post.put(feed.channel, envelopes)

    async def _durably(self, write: Callable[[], Awaitable[T]]) -> T | None:
        """What `write` returns, tried until the journal takes it; None once the service halts."""
        attempt = 0
        while True:
            try:
                return await write()
            except JournalUnavailable:
                attempt += 1
                if self._halted.is_set():
                    return None
                with trio.move_on_after(jittered(attempt, 0.1, 5.0)):
                    await self._halted.wait()


def _row(item: Item) -> Enrolment:
    return Enrolment(item.channel, item.key, item.user_id)
