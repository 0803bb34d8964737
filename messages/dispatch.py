"""The way of one accepted dispatch: one feeder a channel, until the last delivery has ended.

A feeder composes, enrols and posts slice by slice at the pace of its own channel, so a full
channel never holds up the others.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final, TypeVar

import trio

from messages.backoff import jittered
from messages.collect import Collector
from messages.compose import Composer
from messages.envelope import Envelope
from messages.errors import DirectoryUnavailable, JournalUnavailable
from messages.events import DirectoryFailed, DispatchCrashed, DispatchEnded, Observer
from messages.model import Channel, Cursor, Delivery, Page, Reason, Receipt
from messages.ports import Enrolment, Journal, Post
from messages.report import Report
from messages.resolve import Pages

SLICE: Final = 100
"""So many deliveries are composed and enrolled before other tasks get their turn."""

T = TypeVar("T")


class Dispatch:
    """One accepted request on its way."""

    def __init__(
        self,
        composer: Composer,
        channels: Sequence[Channel],
        pages: Pages,
        journal: Journal,
        post: Post,
        observe: Observer,
        most_failures: int,
        halted: trio.Event,
    ) -> None:
        self.id = composer.dispatch_id
        self.crashed = False
        self.ended = trio.Event()
        self._composer = composer
        self._channels = channels
        self._pages = pages
        self._journal = journal
        self._post = post
        self._observe = observe
        self._halted = halted
        self._collector = Collector(self.id, observe, most_failures)

    def report(self) -> Report:
        """What is known now; final once `ended` is set."""
        return self._collector.report()

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

    async def _deliver(self) -> None:
        async with trio.open_nursery() as nursery:
            for channel in self._channels:
                nursery.start_soon(self._feed, channel)
        self._collector.feeding_ended()
        await self._collector.complete.wait()
        await self._durably(lambda: self._journal.close(self.id, self.report().counts))

    async def _feed(self, channel: Channel) -> None:
        cursor: Cursor | None = Cursor()
        while cursor is not None:
            if self._halted.is_set():
                return await self._give_up(channel, cursor, "stopping", "Service stopping")
            try:
                page = await self._pages.at(cursor)
            except DirectoryUnavailable as error:
                self._observe(DirectoryFailed(self.id, str(error)))
                return await self._give_up(
                    channel, cursor, "directory-unavailable", "Directory unavailable"
                )
            await self._feed_page(channel, page)
            cursor = page.next
        return None

    async def _feed_page(self, channel: Channel, page: Page) -> None:
        compose = self._composer.compose
        for recipients in _slices(page.recipients):
            await self._enrol([compose(channel, recipient) for recipient in recipients])
        unknown = self._composer.unknown_user
        for ids in _slices(page.missing):
            await self._enrol([unknown(channel, user_id) for user_id in ids])

    async def _give_up(self, channel: Channel, cursor: Cursor, reason: Reason, error: str) -> None:
        composer = self._composer
        for ids in _slices(self._pages.unread(cursor)):
            await self._enrol(
                [composer.unread_user(channel, user_id, reason, error) for user_id in ids]
            )
        clusters = self._pages.unread_clusters(cursor)
        await self._enrol(
            [composer.unread_cluster(channel, name, reason, error) for name in clusters]
        )

    async def _enrol(self, items: Sequence[Delivery | Receipt]) -> None:
        if not items:
            return
        rows = [Enrolment(item.channel, item.key, item.user_id) for item in items]
        new = await self._durably(lambda: self._journal.enrol(self.id, rows))
        if new is not None:
            items = [item for item, is_new in zip(items, new, strict=True) if is_new]
        self._collector.expect(len(items))
        for item in items:
            if isinstance(item, Receipt):
                self._collector.reply(item)
            else:
                await self._post(Envelope(item, self._collector.reply))

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


def _slices(items: Iterable[T]) -> Iterator[Sequence[T]]:
    left = iter(items)
    while part := list(islice(left, SLICE)):
        yield part
