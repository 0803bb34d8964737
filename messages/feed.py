"""The deliveries of one dispatch on one channel, composed only when there is room for them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from math import inf

import trio

from messages.compose import Composer
from messages.errors import DirectoryUnavailable
from messages.events import DirectoryFailed, Observer
from messages.model import Channel, Cursor, Delivery, Page, Reason, Receipt
from messages.resolve import Pages

Item = Delivery | Receipt
"""A delivery to be sent, or how it ended before it could be one."""


class Feed:
    """Walks the audience at its channel's pace; `expires_at` is on trio's clock."""

    def __init__(
        self,
        channel: Channel,
        composer: Composer,
        pages: Pages,
        observe: Observer,
        halted: trio.Event,
        expires_at: float = inf,
    ) -> None:
        self.channel = channel
        self.expires_at = expires_at
        self._composer = composer
        self._pages = pages
        self._observe = observe
        self._halted = halted
        self._cursor: Cursor | None = Cursor()
        self._items: Iterator[Item] = iter(())
        self.is_over = False

    async def next(self, most: int) -> Sequence[Item]:
        """At most so many further ones; none at the end. Never raises for a directory."""
        while True:
            items = list(islice(self._items, most))
            if self._cursor is None and len(items) < most:
                self.is_over = True
            if items or self.is_over:
                return items
            if self._cursor is not None:
                self._items = await self._following(self._cursor)

    async def _following(self, cursor: Cursor) -> Iterator[Item]:
        if self._halted.is_set():
            return self._give_up(cursor, "stopping", "Service stopping")
        try:
            page = await self._pages.at(cursor)
        except DirectoryUnavailable as error:
            self._observe(DirectoryFailed(self._composer.dispatch_id, str(error)))
            return self._give_up(cursor, "directory-unavailable", "Directory unavailable")
        self._cursor = page.next
        return self._of(page)

    def _of(self, page: Page) -> Iterator[Item]:
        composer, channel = self._composer, self.channel
        for recipient in page.recipients:
            item = composer.compose(channel, recipient)
            if self.expires_at <= trio.current_time() and isinstance(item, Delivery):
                item = composer.expired(item)
            yield item
        for user_id in page.missing:
            yield composer.unknown_user(channel, user_id)

    def _give_up(self, cursor: Cursor, reason: Reason, error: str) -> Iterator[Item]:
        self._cursor = None
        composer, channel = self._composer, self.channel
        for user_id in self._pages.unread(cursor):
            yield composer.unread_user(channel, user_id, reason, error)
        for name in self._pages.unread_clusters(cursor):
            yield composer.unread_cluster(channel, name, reason, error)
