"""Live settings and their audit in the embedded store, beside the journal's writer."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeVar

import trio

from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import Document
from carillon.stores.cursors import number_in
from carillon.stores.ports import AuditEntry, AuditPage
from carillon.stores.sqlite.database import connect, transaction

T = TypeVar("T")
_KEEP: Final = (
    "INSERT INTO provider_override VALUES (?, ?)"
    " ON CONFLICT DO UPDATE SET settings = excluded.settings"
)
_RECORD: Final = (
    "INSERT INTO audit (at, who, action, provider, before, after) VALUES (?, ?, ?, ?, ?, ?)"
)


class SqliteSettings:
    """Implements `stores.ports.LiveSettings`."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._limiter = trio.CapacityLimiter(1)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def overrides(self) -> Mapping[str, Document]:
        """See the port."""
        return await self._do(_overrides, "read")

    async def change(self, provider: str, override: Document, entry: AuditEntry) -> None:
        """See the port."""
        await self._do(lambda c: _change(c, provider, override, entry), "written")

    async def record(self, entries: Sequence[AuditEntry]) -> None:
        """See the port."""
        await self._do(lambda c: _record_all(c, entries), "written")

    async def audit(self, provider: str | None, cursor: str, limit: int) -> AuditPage:
        """See the port."""
        before = number_in(cursor)
        return await self._do(lambda c: _audit(c, provider, before, limit), "read")

    async def _do(self, run: Callable[[sqlite3.Connection], T], what: str) -> T:
        try:
            return await trio.to_thread.run_sync(run, self._connection, limiter=self._limiter)
        except sqlite3.Error as error:
            raise JournalUnavailable(f"The live settings cannot be {what}: {error}") from None


def _overrides(connection: sqlite3.Connection) -> dict[str, Document]:
    rows = connection.execute("SELECT provider, settings FROM provider_override")
    return {provider: json.loads(settings) for provider, settings in rows}


def _change(
    connection: sqlite3.Connection, provider: str, override: Document, entry: AuditEntry
) -> None:
    with transaction(connection):
        if override:
            connection.execute(_KEEP, (provider, json.dumps(override)))
        else:
            connection.execute("DELETE FROM provider_override WHERE provider = ?", (provider,))
        _record(connection, entry)


def _record_all(connection: sqlite3.Connection, entries: Sequence[AuditEntry]) -> None:
    with transaction(connection):
        for entry in entries:
            _record(connection, entry)


def _record(connection: sqlite3.Connection, entry: AuditEntry) -> None:
    changed = (json.dumps(entry.before), json.dumps(entry.after))
    connection.execute(_RECORD, (entry.at, entry.who, entry.action, entry.provider, *changed))


def _audit(
    connection: sqlite3.Connection, provider: str | None, before: int | None, limit: int
) -> AuditPage:
    conditions, values = ["TRUE"], list[str | int]()
    for condition, value in (("provider = ?", provider), ("number < ?", before)):
        if value is not None:
            conditions.append(condition)
            values.append(value)
    rows = connection.execute(
        "SELECT number, at, who, action, provider, before, after FROM audit"  # noqa: S608
        f" WHERE {' AND '.join(conditions)} ORDER BY number DESC LIMIT ?",
        (*values, limit),
    ).fetchall()
    following = str(rows[-1][0]) if len(rows) == limit else None
    return AuditPage([_entry(*row[1:]) for row in rows], following)


def _entry(
    at: int, who: str, action: str, provider: str | None, before: str, after: str
) -> AuditEntry:
    return AuditEntry(at, who, action, provider, json.loads(before), json.loads(after))
