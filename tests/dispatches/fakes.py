"""A directory, a journal and a post in memory, that can be made to fail."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import trio

from carillon.messages.envelope import Envelope
from carillon.messages.errors import DirectoryUnavailable, JournalUnavailable, TemplateNotFound
from carillon.messages.model import (
    Audience,
    Channel,
    Cursor,
    Document,
    Outcome,
    Page,
    Receipt,
    Recipient,
)
from carillon.messages.ports.journal import (
    AttemptEnd,
    AttemptStart,
    DispatchEnd,
    Enrolment,
    NewDispatch,
    Progress,
    StartsTold,
)
from carillon.messages.ports.records import Pending, RecordFilter, Unfinished


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

    async def users(self, keys: Sequence[str]) -> Sequence[Recipient]:
        await trio.lowlevel.checkpoint()
        if self.failures:
            self.failures -= 1
            raise DirectoryUnavailable("away")
        return [Recipient(name, name, {"_id": name}) for name in keys if not name.startswith("x")]

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
    """Remembers what was written, write by write; `broken` makes it refuse."""

    is_working = True
    trouble: str | None = None

    def __init__(self) -> None:
        self.broken = False
        self.writes: list[tuple[str, int]] = []
        self.enrolled: dict[str, Enrolment] = {}
        self.closed: dict[str, Mapping[Outcome, int]] = {}
        self.ends: dict[str, DispatchEnd] = {}
        self.receipts: list[Receipt] = []
        self.cancelled: list[str] = []

    def _write(self) -> None:
        if self.broken:
            raise JournalUnavailable("broken")

    async def open(self, dispatch: NewDispatch, rows: Sequence[Enrolment] = ()) -> Sequence[bool]:
        return await self._enrol("open", rows)

    async def enrol(
        self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress
    ) -> Sequence[bool]:
        self.progress = progress
        return await self._enrol("enrol", rows)

    def start_all(self, attempts: Sequence[AttemptStart], told: StartsTold) -> None:
        raise NotImplementedError

    def end(self, attempt: AttemptEnd) -> None:
        pass

    async def cancel(self, dispatch_id: str) -> None:
        await trio.lowlevel.checkpoint()
        self._write()
        self.cancelled.append(dispatch_id)

    async def redrive(self, dispatch_id: str, wanted: RecordFilter) -> int:
        await trio.lowlevel.checkpoint()
        self._write()
        return 0

    async def _enrol(self, name: str, rows: Sequence[Enrolment]) -> Sequence[bool]:
        await trio.lowlevel.checkpoint()
        self._write()
        self.writes.append((name, len(rows)))
        new = []
        for row in rows:
            name = f"{row.channel}/{row.key}"
            new.append(name not in self.enrolled)
            self.enrolled[name] = row
        return new

    def record(self, receipt: Receipt) -> None:
        self.receipts.append(receipt)

    async def flush(self) -> None:
        await trio.lowlevel.checkpoint()
        self._write()

    async def close(
        self,
        dispatch_id: str,
        counts: Mapping[Outcome, int],
        kept: str | bytes | None,
        end: DispatchEnd | None = None,
    ) -> None:
        await trio.lowlevel.checkpoint()
        self._write()
        self.closed[dispatch_id] = counts
        self.ends[dispatch_id] = end or DispatchEnd()


class FakeRecovery:
    """Holds what an earlier process left: pending deliveries by channel."""

    def __init__(self) -> None:
        self.left: dict[Channel, list[Pending]] = {}
        self.dispatches: list[Unfinished] = []
        self.requests: dict[str, str] = {}

    async def unfinished(self, running: Collection[str] = ()) -> Sequence[Unfinished]:
        await trio.lowlevel.checkpoint()
        return self.dispatches

    async def find_unfinished(self, dispatch_id: str) -> Unfinished | None:
        await trio.lowlevel.checkpoint()
        return next((one for one in self.dispatches if one.id == dispatch_id), None)

    async def request(self, dispatch_id: str) -> str | None:
        await trio.lowlevel.checkpoint()
        return self.requests.get(dispatch_id)

    async def pending(
        self, dispatch_id: str, channel: Channel, after: str, limit: int
    ) -> Sequence[Pending]:
        await trio.lowlevel.checkpoint()
        left = sorted(self.left.get(channel, ()), key=lambda one: one.key)
        return [one for one in left if one.key > after][:limit]

    async def calls(self, provider: str, since: int) -> Sequence[tuple[int, int]]:
        await trio.lowlevel.checkpoint()
        return []

    async def forget(self, before: int) -> None:
        await trio.lowlevel.checkpoint()


class FakePost:
    """Has room for `space` deliveries at a time and sends them at once; `full` makes it wait."""

    def __init__(self) -> None:
        self.space = 100
        self.full = False
        self.cancelled: list[str] = []
        self.forsaken: list[str] = []
        self.holds = False
        self.envelopes: list[Envelope] = []
        self.slices: list[tuple[Channel, int]] = []

    @property
    def posted(self) -> list[str]:
        return [one.delivery.user_id for one in self.envelopes]

    async def wait_for_capacity(
        self, channel: Channel, dispatch_id: str, until: float, caller: str = ""
    ) -> int:
        await trio.lowlevel.checkpoint()
        while self.full and trio.current_time() < until:
            await trio.sleep(min(1.0, until - trio.current_time()))
        return self.space

    def queued(self, channel: Channel, dispatch_id: str) -> int:
        return 0

    def put(self, channel: Channel, envelopes: Sequence[Envelope]) -> None:
        assert envelopes
        self.slices.append((channel, len(envelopes)))
        self.envelopes += envelopes
        if not self.holds:
            for envelope in envelopes:
                envelope.end("sent", "accepted")

    def cancel(self, dispatch_id: str) -> None:
        self.cancelled.append(dispatch_id)
        for envelope in self.envelopes:
            envelope.cancel()

    def disown(self, dispatch_id: str) -> None:
        self.forsaken.append(dispatch_id)
