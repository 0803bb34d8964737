"""The deliveries of one dispatch on one channel, composed only when there is room for them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from itertools import islice
from math import inf
from typing import Final

import trio

from carillon.dispatches.compose import Composer
from carillon.messages.errors import DirectoryUnavailable, TryLater
from carillon.messages.events import DirectoryFailed, Observer
from carillon.messages.model import Audience, Channel, Cursor, Delivery, Page, Receipt, Recipient
from carillon.messages.ports.directory import Directory
from carillon.messages.ports.journal import Progress
from carillon.messages.retry import ReadRetry, retry_until

HEAD: Final = 1000
"""How many recipients are resolved before the first delivery leaves."""
KEPT: Final = 2 * HEAD
"""How many recipients the kept pages hold, so that the whole head is still at hand when needed."""
KEPT_BYTES: Final = 16 * 1024 * 1024
"""Bytes after which fewer users are resolved before the first delivery leaves, and fewer kept."""


class Pages:
    """An audience as pages, which the channels of a dispatch share."""

    def __init__(self, directory: Directory, audience: Audience, patience: ReadRetry) -> None:
        self._directory = directory
        self._audience = audience
        self._patience = patience
        self._kept: OrderedDict[Cursor, Page] = OrderedDict()
        self._recipients = self._bytes = 0
        self._reading = trio.Lock()

    async def read_head(self) -> None:
        """Read the first pages. Raises DirectoryUnavailable."""
        found = size = 0
        cursor: Cursor | None = Cursor()
        while cursor is not None and found < HEAD and size < KEPT_BYTES:
            # Nobody else reads yet, so nobody is kept waiting by a turn at the lock.
            page = self._kept.get(cursor) or await self._read(cursor)
            found += page.length
            size += page.size
            cursor = page.next

    async def at(self, cursor: Cursor) -> Page:
        """The page that starts at a cursor. Raises DirectoryUnavailable."""
        if (kept := self._kept.get(cursor)) is not None:
            return kept
        async with self._reading:
            # Another channel may have read the page while this one waited for the lock.
            if (kept := self._kept.get(cursor)) is not None:
                return kept
            return await self._read(cursor)

    def forget(self, cursor: Cursor) -> None:
        """Drop the page that starts at a cursor, so that it is read again when needed."""
        if (dropped := self._kept.pop(cursor, None)) is not None:
            self._count(dropped, -1)

    async def _read(self, cursor: Cursor) -> Page:
        page = await self._patience.read(lambda: self._directory.page(self._audience, cursor))
        self._keep(cursor, page)
        return page

    def _keep(self, cursor: Cursor, page: Page) -> None:
        self._kept[cursor] = page
        self._count(page, 1)
        while (self._recipients > KEPT or self._bytes > KEPT_BYTES) and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._count(dropped, -1)

    def _count(self, page: Page, sign: int) -> None:
        self._recipients += sign * page.length
        self._bytes += sign * page.size


Item = Delivery | Receipt
"""A delivery to be sent, or the receipt of one that cannot be sent."""


class _LoopDetection:
    """Detects that a walk returns to where it was, in constant memory: Brent's algorithm.

    A loop is detected within three rounds.
    """

    def __init__(self, begin: Cursor) -> None:
        self._landmark = begin
        self._steps, self._until = 0, 1

    def is_known(self, cursor: Cursor) -> bool:
        """Whether the next step leads back to the landmark; if not, the step is taken."""
        if cursor == self._landmark:
            return True
        self._steps += 1
        if self._steps == self._until:
            self._landmark = cursor
            self._steps, self._until = 0, 2 * self._until
        return False


class Feed:
    """Walks the audience at its channel's pace; `expires_at` is on trio's clock.

    Reads from a directory that is down are retried until it answers or `stop` is set.
    """

    def __init__(
        self,
        channel: Channel,
        composer: Composer,
        pages: Pages,
        observe: Observer,
        stop: trio.Event,
        expires_at: float = inf,
        begin: Cursor | None = None,
    ) -> None:
        self.channel = channel
        self.expires_at = expires_at
        self.composer = composer
        self.is_over = False
        self._pages = pages
        self._observe = observe
        self._stop = stop
        self._page = begin or Cursor()
        self._following: Cursor | None = self._page
        self._next: Iterator[Recipient | Receipt] = iter(())
        self._loops = _LoopDetection(self._page)
        self._left = 0

    @property
    def progress(self) -> Progress:
        """Where reading must resume if only the items returned so far are on record."""
        return Progress(self.channel, self._page, self.is_over)

    async def next(self, most: int) -> Sequence[Item]:
        """At most `most` further items; none at the end, or once it has to stop."""
        while not (self.is_over or self._stop.is_set()):
            some = list(islice(self._next, most))
            self._left -= len(some)
            if self._following is None and not self._left:
                self.is_over = True
            if some:
                return await self._composed(some)
            if self._following is not None:
                await self._turn_to(self._following)
        return []

    async def _turn_to(self, cursor: Cursor) -> None:
        page = await retry_until(lambda: self._next_page(cursor), self._stop, self._tell)
        if page is not None:
            self._page, self._following = cursor, page.next
            self._next = self._of(page)
            self._left = page.length

    def _of(self, page: Page) -> Iterator[Recipient | Receipt]:
        """The recipients of a page, then the receipts of unknown and of ambiguous ids."""
        composer, channel = self.composer, self.channel
        yield from page.recipients
        for user_id in page.missing:
            yield composer.unknown_user(channel, user_id)
        for user_id in page.ambiguous:
            yield composer.ambiguous_user(channel, user_id)

    async def _next_page(self, cursor: Cursor) -> Page:
        page = await self._pages.at(cursor)
        if page.next is not None and self._loops.is_known(page.next):
            self._pages.forget(cursor)
            raise DirectoryUnavailable("The directory gave users again that came before")
        return page

    def _tell(self, error: TryLater) -> None:
        self._observe(DirectoryFailed(self.composer.dispatch_id, str(error)))

    async def _composed(self, some: Sequence[Recipient | Receipt]) -> Sequence[Item]:
        """The deliveries to some recipients, and the receipts that follow them in a page."""
        composer, channel = self.composer, self.channel
        recipients = [one for one in some if isinstance(one, Recipient)]
        items: list[Item] = [*await composer.compose_all(channel, recipients)]
        if self.expires_at <= trio.current_time():
            items = [composer.expired(one) if isinstance(one, Delivery) else one for one in items]
        return [*items, *(one for one in some if isinstance(one, Receipt))]
