"""Who a dispatch is for, read a page at a time.

Each channel walks the audience at its own pace. Pages are kept for a while, so that channels of
equal pace read each page once; a channel that lags behind reads again, and memory stays bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from typing import Final

import trio

from messages.model import Audience, Cursor, Page
from messages.patience import Patience
from messages.ports import Directory

HEAD: Final = 1000
"""So many recipients are resolved before the first delivery leaves."""
KEPT: Final = 8
"""So many pages are kept; at 200 users a page they hold the head and some more."""


class Pages:
    """An audience as pages."""

    def __init__(self, directory: Directory, audience: Audience, patience: Patience) -> None:
        self._directory = directory
        self._audience = audience
        self._patience = patience
        self._kept: OrderedDict[Cursor, Page] = OrderedDict()
        self._reading = trio.Lock()

    async def read_head(self) -> None:
        """Read the first pages. Raises DirectoryUnavailable."""
        found = 0
        cursor: Cursor | None = Cursor()
        while cursor is not None and found < HEAD:
            page = await self.at(cursor)
            found += len(page.recipients) + len(page.missing)
            cursor = page.next

    async def at(self, cursor: Cursor) -> Page:
        """The page that starts at a cursor. Raises DirectoryUnavailable."""
        if (kept := self._kept.get(cursor)) is not None:
            return kept
        async with self._reading:
            if (kept := self._kept.get(cursor)) is not None:
                return kept
            page = await self._patience.read(lambda: self._directory.page(self._audience, cursor))
            self._kept[cursor] = page
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return page

    def unread(self, cursor: Cursor) -> Iterator[str]:
        """The listed ids from a cursor on."""
        recipients = self._audience.recipients
        for position in range(min(cursor.position, len(recipients)), len(recipients)):
            yield recipients[position]

    @property
    def clusters(self) -> Sequence[str]:
        """The clusters of the audience."""
        return self._audience.clusters
