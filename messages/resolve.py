"""Who a dispatch is for, read a page at a time.

Each channel walks the audience at its own pace. Pages are kept for a while, so that channels of
equal pace read each page once; a channel that lags behind reads again, and memory stays bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import trio

from carillon.messages.model import Audience, Cursor, Page
from carillon.messages.ports.directory import Directory
from carillon.messages.retry import Patience

HEAD: Final = 1000
"""So many recipients are resolved before the first delivery leaves."""
KEPT: Final = 2 * HEAD
"""Pages are kept for so many recipients, so that the whole head is at hand when it is asked for."""
KEPT_BYTES: Final = 16 * 1024 * 1024
"""Where users are large fewer are resolved before the first delivery leaves, and fewer are kept."""


class Pages:
    """An audience as pages."""

    def __init__(self, directory: Directory, audience: Audience, patience: Patience) -> None:
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
            page = await self.at(cursor)
            found += page.length
            size += page.size
            cursor = page.next

    async def at(self, cursor: Cursor) -> Page:
        """The page that starts at a cursor. Raises DirectoryUnavailable."""
        if (kept := self._kept.get(cursor)) is not None:
            return kept
        async with self._reading:
            if (kept := self._kept.get(cursor)) is not None:
                return kept
            page = await self._patience.read(lambda: self._directory.page(self._audience, cursor))
            self._keep(cursor, page)
            return page

    def forget(self, cursor: Cursor) -> None:
        """Read the page that starts there anew when it is asked for again."""
        if (dropped := self._kept.pop(cursor, None)) is not None:
            self._count(dropped, -1)

    def _keep(self, cursor: Cursor, page: Page) -> None:
        self._kept[cursor] = page
        self._count(page, 1)
        while (self._recipients > KEPT or self._bytes > KEPT_BYTES) and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._count(dropped, -1)

    def _count(self, page: Page, sign: int) -> None:
        self._recipients += sign * page.length
        self._bytes += sign * page.size
