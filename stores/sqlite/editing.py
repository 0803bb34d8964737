"""Users and templates of the embedded store as a running service edits them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, TypeVar

import trio

from carillon.messages.errors import DirectoryUnavailable
from carillon.messages.model import Document
from carillon.stores.ports import Collection, DocumentPage, DocumentStore, KnownUsers
from carillon.stores.sqlite.database import connect, transaction
from carillon.stores.sqlite.directory import (
    indexed_fields,
    read_document,
    stored_form,
    user_keys,
    write_document,
)
from carillon.stores.sqlite.importer import known_users

T = TypeVar("T")

_MOST_LETTERS: Final = 8 * 1024 * 1024
"""Letters of the documents of a page after which it ends."""
_STAGING: Final = """
CREATE TEMP TABLE IF NOT EXISTS staged (
    id TEXT PRIMARY KEY, state TEXT NOT NULL, document TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TEMP TABLE IF NOT EXISTS staged_key (kind TEXT, value TEXT, user TEXT) STRICT;
CREATE TEMP TABLE IF NOT EXISTS replaced (id TEXT) STRICT;
DELETE FROM temp.staged;
DELETE FROM temp.staged_key;
DELETE FROM temp.replaced;
"""
_MERGE: Final = (
    "DELETE FROM {0} WHERE id IN (SELECT id FROM temp.replaced)",
    (
        "INSERT INTO {0} SELECT id, state, document FROM temp.staged WHERE true"
        " ON CONFLICT DO UPDATE SET state = excluded.state, document = excluded.document"
    ),
)
_MERGE_KEYS: Final = (
    (
        "DELETE FROM user_key WHERE user IN"
        " (SELECT id FROM temp.staged UNION ALL SELECT id FROM temp.replaced)"
    ),
    "INSERT OR IGNORE INTO user_key SELECT kind, value, user FROM temp.staged_key",
)


class SqliteDocuments:
    """Implements `stores.ports.DocumentStore`; what is staged is written in one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._is_staging = False

    def known(self, field: str) -> KnownUsers:
        """See the port."""
        return known_users(self._connection, field)

    def get(self, collection: Collection, key: str) -> Document | None:
        """See the port."""
        query = f"SELECT document FROM {collection} WHERE id = ?"  # noqa: S608
        row = self._connection.execute(query, (key,)).fetchone()
        return None if row is None else read_document(row[0])

    def page(
        self, collection: Collection, cluster: str | None, after: str, limit: int
    ) -> DocumentPage:
        """See the port."""
        query = f"SELECT id, document FROM {collection} WHERE id > ? ORDER BY id LIMIT ?"  # noqa: S608
        values: tuple[object, ...] = (after, limit + 1)
        if cluster is not None:
            query = (
                "SELECT u.id, u.document FROM user_key AS k CROSS JOIN user AS u ON u.id = k.user"
                " WHERE k.kind = 'cluster' AND k.value = ? AND k.user > ? ORDER BY k.user LIMIT ?"
            )
            values = (cluster, *values)
        found: list[Document] = []
        letters, place = 0, ""
        with closing(self._connection.execute(query, values)) as rows:
            for key, text in rows:
                if len(found) == limit or letters > _MOST_LETTERS:
                    return DocumentPage(found, place)
                found.append(read_document(text))
                letters += len(text)
                place = key
        return DocumentPage(found, None)

    def put(self, collection: Collection, document: Document) -> bool:
        """See the port."""
        query = f"SELECT 1 FROM {collection} WHERE id = ?"  # noqa: S608
        with transaction(self._connection):
            row = self._connection.execute(query, (str(document["_id"]),)).fetchone()
            write_document(self._connection, collection, document)
        return row is None

    def remove(self, collection: Collection, key: str) -> bool:
        """See the port."""
        with transaction(self._connection):
            query = f"DELETE FROM {collection} WHERE id = ?"  # noqa: S608
            removed = self._connection.execute(query, (key,)).rowcount
            if collection == "user":
                self._connection.execute("DELETE FROM user_key WHERE user = ?", (key,))
        return removed > 0

    def check(self, document: Document) -> None:
        """See the port: it holds any document."""

    def stage(
        self, collection: Collection, documents: Sequence[Document], replaced: Sequence[str]
    ) -> None:
        """See the port."""
        connection = self._connection
        if not self._is_staging:
            connection.executescript(_STAGING)
            self._is_staging = True
        stored = [stored_form(document) for document in documents]
        rows = [(one["_id"], one["__STATE__"], json.dumps(one)) for one in stored]
        fields = indexed_fields(connection)
        keys = [row for one in stored for row in user_keys(one, fields)]
        with _beside(connection):
            connection.executemany("INSERT OR REPLACE INTO temp.staged VALUES (?, ?, ?)", rows)
            connection.executemany(
                "INSERT INTO temp.replaced VALUES (?)", [(key,) for key in replaced]
            )
            connection.executemany("INSERT INTO temp.staged_key VALUES (?, ?, ?)", keys)

    def finish(self, collection: Collection) -> None:
        """See the port."""
        if not self._is_staging:
            return
        merge = (*_MERGE, *_MERGE_KEYS) if collection == "user" else _MERGE
        with transaction(self._connection):
            for statement in merge:
                self._connection.execute(statement.format(collection))
        self.abort()

    def abort(self) -> None:
        """See the port."""
        if self._is_staging:
            self._connection.executescript(_STAGING)
            self._is_staging = False


@contextmanager
def _beside(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction of temporary tables alone, for which the journal need not wait."""
    connection.execute("BEGIN DEFERRED")
    try:
        yield
    finally:
        connection.execute("COMMIT")


class SqliteEditing:
    """Implements `stores.ports.Editing`, on a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._connection.execute("PRAGMA temp_store = FILE")
        self._documents = SqliteDocuments(self._connection)
        self._limiter = trio.CapacityLimiter(1)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def run(self, job: Callable[[DocumentStore], T]) -> T:
        """See the port."""
        try:
            return await trio.to_thread.run_sync(job, self._documents, limiter=self._limiter)
        except sqlite3.Error as error:
            raise DirectoryUnavailable(f"The embedded store cannot be used: {error}") from None
