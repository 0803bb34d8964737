"""A directory and a journal in memory, that can be made to fail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import trio

from messages.errors import DirectoryUnavailable, JournalUnavailable, TemplateNotFound
from messages.model import Audience, Channel, Cursor, Document, Outcome, Page, Receipt, Recipient
from messages.ports import Enrolment


class FakeDirectory:
    """Lists of two users a page; everybody who is asked for exists, but ids that begin with x."""

    def __init__(self, clusters: Mapping[str, Sequence[str]] | None = None) -> None:
        self.clusters = dict(clusters or {})
        self.reads: list[Cursor] = []
        self.failures = 0
        self.fails_from: int | None = None

    async def template(self, template_id: str) -> Document:
        raise TemplateNotFound(template_id)

    async def check(self) -> None:
        pass

    async def page(self, audience: Audience, cursor: Cursor) -> Page:
        await trio.lowlevel.checkpoint()
        self.reads.append(cursor)
        if self.failures or (self.fails_from is not None and cursor.position >= self.fails_from):
            self.failures = max(0, self.failures - 1)
            raise DirectoryUnavailable("away")
        members = [name for at in audience.clusters for name in self.clusters.get(at, ())]
        everybody = [*audience.recipients, *members]
        part = everybody[cursor.position : cursor.position + 2]
        following = cursor.position + len(part)
        return Page(
            [Recipient(name, name, {"_id": name}) for name in part if not name.startswith("x")],
            [name for name in part if name.startswith("x")],
            Cursor(following) if following < len(everybody) else None,
        )


class FakeJournal:
    """Remembers what was written; `broken` makes it refuse."""

    def __init__(self) -> None:
        self.broken = False
        self.enrolled: dict[str, Enrolment] = {}
        self.closed: dict[str, Mapping[Outcome, int]] = {}
        self.receipts: list[Receipt] = []

    def _write(self) -> None:
        if self.broken:
            raise JournalUnavailable("broken")

    async def open(self, dispatch_id: str, channels: Sequence[Channel]) -> None:
        await trio.lowlevel.checkpoint()
        self._write()

    async def enrol(self, dispatch_id: str, rows: Sequence[Enrolment]) -> Sequence[bool]:
        await trio.lowlevel.checkpoint()
        self._write()
        new = []
        for row in rows:
            name = f"{row.channel}/{row.key}"
            new.append(name not in self.enrolled)
            self.enrolled[name] = row
        return new

    def record(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)

    async def close(self, dispatch_id: str, counts: Mapping[Outcome, int]) -> None:
        await trio.lowlevel.checkpoint()
        self._write()
        self.closed[dispatch_id] = counts
