"""Who a dispatch is for, read a page at a time.

Each channel walks the audience at its own pace. Pages are kept for a while, so that channels of
equal pace read each page once; a channel that lags behind reads again, and memory stays bounded.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import trio

from messages.model import Audience, Cursor, Page
from messages.patience import Patience
from messages.ports import Directory

HEAD: Final = 1000
"""So many recipients are resolved before the first delivery leaves."""
KEPT: Final = 2 * HEAD
"""Pages are kept for so many recipients, so that the whole head is at hand when it is asked for."""


class Pages:
    """An audience as pages."""

    def __init__(self, directory: Directory, audience: Audience, patience: Patience) -> None:
        self._directory = directory
        self._audience = audience
        self._patience = patience
        self._kept: OrderedDict[Cursor, Page] = OrderedDict()
        self._recipients = 0
        self._reading = trio.Lock()

    async def read_head(self) -> None:
        """Read the first pages. Raises DirectoryUnavailable."""
        found = 0
        cursor: Cursor | None = Cursor()
        while cursor is not None and found < HEAD:
            page = await self.at(cursor)
            found += page.length
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
            self._recipients -= dropped.length

    def _keep(self, cursor: Cursor, page: Page) -> None:
        self._kept[cursor] = page
        self._recipients += page.length
        while self._recipients > KEPT and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            self._recipients -= dropped.length
