"""An outbox in memory and a Flow Manager that answers as it is told, on trio's clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import trio

from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import Accepted
from carillon.messages.ports.outbox import (
    Due,
    DueEvent,
    EventPage,
    EventRecord,
    EventState,
    PostResult,
    SagaEvent,
)


def now() -> int:
    """Milliseconds on trio's clock."""
    return round(trio.current_time() * 1000)


@dataclass
class Row:
    """An event and what became of it."""

    event: SagaEvent
    record: EventRecord
    since: int


class FakeOutbox:
    """Keeps the order in which events were added; `broken` makes it refuse."""

    def __init__(self) -> None:
        self.rows: dict[str, Row] = {}
        self.broken = False

    async def _use(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise JournalUnavailable("broken")

    def state(self, event_id: str) -> tuple[EventState, int, str | None]:
        found = self.rows[event_id].record
        return found.state, found.attempts, found.error

    async def add(self, event: SagaEvent, now: int) -> bool:
        await self._use()
        if event.id in self.rows:
            return False
        record = EventRecord(
            event.id, event.key, event.label, event.dispatch_id, "pending", 0, None, now, now, None
        )
        self.rows[event.id] = Row(event, record, now)
        return True

    async def due(self, now: int, limit: int) -> Due:
        await self._use()
        pending = [row for row in self.rows.values() if row.record.state == "pending"]
        heads: dict[str, Row] = {}
        for row in pending:
            heads.setdefault(row.event.key, row)
        times = {row.event.id: row.record.due_at or 0 for row in pending}
        ready = [row for row in heads.values() if times[row.event.id] <= now]
        later = [at for at in times.values() if at > now]
        events = [DueEvent(row.event, row.record.attempts, row.since) for row in ready]
        return Due(events[:limit], min(later, default=None))

    async def accepted(self, event_id: str, now: int) -> None:
        await self._use()
        self._tried(event_id, state="accepted", error=None, due_at=None, ended_at=now)

    async def postponed(self, event_id: str, until: int, error: str) -> None:
        await self._use()
        self._tried(event_id, due_at=until, error=error)

    async def parked(self, event_id: str, now: int, error: str) -> None:
        await self._use()
        self._tried(event_id, state="parked", error=error, due_at=None, ended_at=now)

    def _tried(self, event_id: str, **changes: object) -> None:
        row = self.rows[event_id]
        attempts = row.record.attempts + 1
        row.record = replace(row.record, attempts=attempts, **changes)  # type: ignore[arg-type]

    async def find(self, event_id: str) -> EventRecord | None:
        await self._use()
        row = self.rows.get(event_id)
        return None if row is None else row.record

    async def events(
        self, state: EventState | None, cursor: str, limit: int, prefix: str = ""
    ) -> EventPage:
        raise NotImplementedError

    async def again(self, event_id: str, now: int) -> bool:
        await self._use()
        row = self.rows.get(event_id)
        if row is None:
            return False
        row.since = now
        row.record = replace(row.record, state="pending", attempts=0, due_at=now, ended_at=None)
        return True

    async def retire(self, before: int) -> bool:
        return False


@dataclass
class FakeFlowManager:
    """Remembers what was posted and when; `verdict` says what comes of it, after `seconds`."""

    verdict: Callable[[SagaEvent], PostResult] = lambda _: Accepted()
    seconds: float = 0.0
    posted: list[tuple[str, float]] = field(default_factory=list)
    open: int = 0
    most_open: int = 0

    @property
    def ids(self) -> list[str]:
        return [event_id for event_id, _ in self.posted]

    async def post(self, event: SagaEvent) -> PostResult:
        self.posted.append((event.id, trio.current_time()))
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            await trio.sleep(self.seconds)
            return self.verdict(event)
        finally:
            self.open -= 1

    async def aclose(self) -> None:
        pass
