"""Users and templates in the embedded store: reading them for dispatches, and importing them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from heapq import merge
from itertools import groupby, islice
from math import inf
from pathlib import Path
from typing import Final, Literal, TypeVar
from uuid import uuid4

import trio
from pydantic_core import from_json

from carillon.messages.errors import DirectoryUnavailable, no_template
from carillon.messages.model import (
    Audience,
    Cursor,
    Document,
    JsonValue,
    Page,
    Recipient,
    UserFields,
)
from carillon.stores.ids import apart, ids_of
from carillon.stores.sqlite.database import connect, transaction

T = TypeVar("T")
PAGE: Final = 500
SMALL_PAGE: Final = 20
"""Most listed users that are read without a thread."""

PAGE_LETTERS: Final = 16 * 1024 * 1024
"""What the documents of a page hold, as JSON: about so much at most, and one document at least."""
_LETTERS_INLINE: Final = 64 * 1024
_AT_ONCE: Final = 125
"""Documents read and decoded at once; the loop waits meanwhile: 110 µs, 1 ms with 45 fields.

Beside a busy loop a page of 500 took 18 ms row by row, 14 by 50, 9 by 125 and 6 at once.
"""
_LETTERS_AT_ONCE: Final = 256 * 1024
"""Of large documents fewer are read at once; the first ones show how large they are."""
_READING: Final = (
    "SELECT u.document FROM {} AS j"
    " CROSS JOIN user AS u ON u.id = j.column1 WHERE u.state = 'PUBLIC'"
)
_ROWS_A_COMMIT: Final = 2000
_FIELDS_SETTING: Final = "user-fields"


class SqliteDirectory:
    """Implements `messages.ports.directory.Directory`, once `index_users` has run with its fields.

    Documents are read whole, whatever fields an audience needs: to pick three of 5 fields in SQL
    took 5.1 µs a user against 1.7 for all of them, three of 45 took 10.2 against 8.1.

    What is small is read on the loop: a user takes 12 µs, 20 of them 55, and the way to a thread
    and back takes 70 to 140. A page of 500 takes 1.2 ms, or 7 with 45 fields: it stays in a thread.
    """

    def __init__(self, path: Path, fields: UserFields) -> None:
        self._connection = connect(path)
        self._inline = connect(path)
        self._inline.execute("PRAGMA busy_timeout = 0")  # the thread may wait, the loop never
        self._fields = fields
        self._limiter = trio.CapacityLimiter(1)

    def close(self) -> None:
        """Close the connections."""
        self._inline.close()
        self._connection.close()

    async def template(self, template_id: str) -> Document:
        """See the port."""
        row = await self._read(
            lambda c, _: c.execute(
                "SELECT document FROM template WHERE id = ? AND state = 'PUBLIC'", (template_id,)
            ).fetchone(),
            is_small=True,
        )
        if row is None:
            raise no_template(template_id)
        return read_document(row[0])

    async def page(self, audience: Audience, cursor: Cursor) -> Page:
        """See the port."""
        listed = len(audience.recipients) - cursor.position
        return await self._read(
            lambda c, most: self._page(c, audience, cursor, most), is_small=0 < listed <= SMALL_PAGE
        )

    async def users(self, keys: Sequence[str]) -> Sequence[Recipient]:
        """See the port."""
        return await self._read(
            lambda c, most: self._by_key(c, keys, most), is_small=len(keys) <= SMALL_PAGE
        )

    async def check(self) -> None:
        """See the port."""
        await self._read(
            lambda c, _: c.execute("SELECT 1 FROM user LIMIT 1").fetchone(), is_small=True
        )

    async def _read(self, run: Callable[[sqlite3.Connection, float], T], *, is_small: bool) -> T:
        """What `run` returns; it gets a connection, and how many letters it may read for now."""
        if is_small:
            await trio.lowlevel.checkpoint_if_cancelled()
            with suppress(sqlite3.Error, _Large):  # locked, say: the thread finds out
                return run(self._inline, _LETTERS_INLINE)
        try:
            return await trio.to_thread.run_sync(run, self._connection, inf, limiter=self._limiter)
        except sqlite3.Error as error:
            raise DirectoryUnavailable(f"The embedded store cannot be read: {error}") from None

    def _page(
        self, connection: sqlite3.Connection, audience: Audience, cursor: Cursor, most: float
    ) -> Page:
        listed = audience.recipients[cursor.position : cursor.position + PAGE]
        if listed:
            page, length = self._listed(connection, listed, most)
            position = cursor.position + length
            ends = position >= len(audience.recipients) and not audience.clusters
            return replace(page, next=None if ends else Cursor(position))
        members = _members(connection, audience.clusters, cursor.after or "")
        read = _documents(connection, members, most)
        is_last = len(members) < PAGE and read.keys == len(members)
        following = None if is_last else Cursor(cursor.position, members[read.keys - 1])
        found = self._recipients(read.found)
        shared = _shared(connection, ids_of(found, self._fields.id))
        recipients, ambiguous = apart(found, self._fields.id, shared)
        return Page(recipients, (), following, ambiguous, read.letters)

    def _listed(
        self, connection: sqlite3.Connection, listed: Sequence[str], most: float
    ) -> tuple[Page, int]:
        """The users of as many of the listed ids as a page has room for, and how many those are."""
        wanted = dict.fromkeys(listed)
        keys = list(wanted)
        if self._fields.id != "_id":
            query = (
                "SELECT DISTINCT k.user FROM {} AS j"
                " CROSS JOIN user_key AS k ON k.kind = 'id' AND k.value = j.column1"
            )
            keys = [key for (key,) in _execute(connection, query, keys)]
        read = _documents(connection, keys, most)
        is_part = read.keys < len(keys)
        if is_part and len(listed) > 1:
            return self._listed(connection, listed[: len(listed) // 2], most)
        found = self._recipients(read.found)
        shared = _shared(connection, ids_of(found, self._fields.id)) if is_part else ()
        recipients, ambiguous = apart(found, self._fields.id, shared)
        there = {recipient.user_id for recipient in found}
        missing = [user_id for user_id in wanted if user_id not in there]
        return Page(recipients, missing, None, ambiguous, read.letters), len(listed)

    def _by_key(
        self, connection: sqlite3.Connection, keys: Sequence[str], most: float
    ) -> list[Recipient]:
        found: list[Document] = []
        at = 0
        while at < len(keys):
            read = _documents(connection, keys[at:], most)
            found += read.found
            at += read.keys
        return self._recipients(found)

    def _recipients(self, users: Iterable[Document]) -> list[Recipient]:
        return [Recipient(self._fields.user_id(user), str(user["_id"]), user) for user in users]


class _Large(Exception):
    """More is to be read than the event loop may wait for."""


@dataclass(frozen=True, slots=True)
class _Read:
    """The documents of so many of the keys that were asked for, and what they hold as JSON."""

    found: Sequence[Document]
    keys: int
    letters: int


def _documents(connection: sqlite3.Connection, keys: Sequence[str], most: float) -> _Read:
    """The documents of these keys, or of the first of them where they are large.

    Raises:
        _Large: there are more than `most` letters.
    """
    found: list[Document] = []
    at = letters = 0
    step = 1
    while at < len(keys) and letters < PAGE_LETTERS:
        part = keys[at : at + step]
        text = _joined(connection, part)
        letters += len(text)
        if letters > most:
            raise _Large
        found += _parsed(connection, part, text)
        at += len(part)
        step = max(1, min(_AT_ONCE, 8 * step, _LETTERS_AT_ONCE * len(part) // (len(text) + 1)))
    return _Read(found, at, letters)


def _shared(connection: sqlite3.Connection, ids: Sequence[str]) -> set[str]:
    """Those of the ids that several PUBLIC users have."""
    often = (
        "SELECT k.value FROM {} AS j CROSS JOIN user_key AS k"
        " ON k.kind = 'id' AND k.value = j.column1 GROUP BY k.value HAVING count(*) > 1"
    )
    public = (
        "SELECT k.value FROM {} AS j CROSS JOIN user_key AS k"
        " ON k.kind = 'id' AND k.value = j.column1 CROSS JOIN user AS u ON u.id = k.user"
        " WHERE u.state = 'PUBLIC' GROUP BY k.value HAVING count(*) > 1"
    )
    candidates = [value for (value,) in _execute(connection, often, ids)]
    return {value for (value,) in _execute(connection, public, candidates)}


def _joined(connection: sqlite3.Connection, keys: Sequence[str]) -> str:
    # As one text: each row would give the GIL away once. The documents hold their keys.
    joined = "coalesce(group_concat(u.document), '')"
    ((text,),) = _execute(connection, _READING.replace("u.document", joined), keys)
    return text


def _parsed(connection: sqlite3.Connection, keys: Sequence[str], text: str) -> Iterable[Document]:
    try:
        return map(_checked, from_json(f"[{text}]"))
    except ValueError:  # one is nested as deeply as the parser goes: the list is a level too many
        return map(read_document, (one for (one,) in _execute(connection, _READING, keys)))


def _execute(connection: sqlite3.Connection, query: str, values: Sequence[str]) -> list[tuple[str]]:
    if not values:
        return []
    # Not json_each: SQLite reads JSON text up to its first NUL. CROSS keeps the order of the list.
    table = f"(VALUES {', '.join(['(?)'] * len(values))})"
    return connection.execute(query.format(table), values).fetchall()


def _members(connection: sqlite3.Connection, clusters: Sequence[str], after: str) -> list[str]:
    # One index scan a cluster, merged: a member of several comes once, and nothing is sorted again.
    walks = [
        connection.execute(
            "SELECT json_group_array(user) FROM (SELECT user FROM user_key"
            " WHERE kind = 'cluster' AND value = ? AND user > ? ORDER BY user LIMIT ?)",
            (cluster, after, PAGE),
        ).fetchone()
        for cluster in dict.fromkeys(clusters)
    ]
    ordered = merge(*(from_json(keys) for (keys,) in walks))
    return list(islice((key for key, _ in groupby(ordered)), PAGE))


def read_document(text: str) -> Document:
    """The document that a row holds. Raises DirectoryUnavailable if it is none."""
    try:
        return _checked(from_json(text))
    except ValueError:
        return _checked(json.loads(text))


def _checked(document: JsonValue) -> Document:
    if not isinstance(document, dict):
        raise DirectoryUnavailable("The embedded store holds a document that is no object")
    return document


def index_users(connection: sqlite3.Connection, fields: UserFields) -> None:
    """Make users findable by these fields; a matter of course when they are the ones of last time.

    Raises sqlite3.Error.
    """
    wanted = json.dumps([fields.id, fields.clusters])
    indexed = indexed_fields(connection)
    if (indexed.id, indexed.clusters) == (fields.id, fields.clusters):
        return
    with transaction(connection):
        connection.execute("DELETE FROM user_key")
        for (text,) in connection.execute("SELECT document FROM user").fetchall():
            _write_keys(connection, read_document(text), fields)
        connection.execute(
            "INSERT INTO setting VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
            (_FIELDS_SETTING, wanted),
        )


def import_documents(
    connection: sqlite3.Connection,
    collection: Literal["user", "template"],
    documents: Iterable[Document],
) -> Iterator[int]:
    """Write documents, replacing those with a known `_id`; gives the number written so far.

    Commits in parts, so that a service that runs beside it never waits long for the file.
    A document without `_id` gets one; without `__STATE__` it is PUBLIC. Raises sqlite3.Error.
    """
    written = 0
    left = iter(documents)
    while part := list(islice(left, _ROWS_A_COMMIT)):
        with transaction(connection):
            for document in part:
                write_document(connection, collection, document)
        written += len(part)
        yield written


def list_documents(
    connection: sqlite3.Connection, collection: Literal["user", "template"]
) -> Iterator[Document]:
    """Every document by `_id`, whatever its state."""
    for (text,) in connection.execute(f"SELECT document FROM {collection} ORDER BY id"):  # noqa: S608
        yield read_document(text)


def stored_form(document: Document) -> Document:
    """A document with the `_id`, which is drawn if there is none, and the state that it gets."""
    given = document.get("_id")
    key = str(uuid4()) if given in (None, "") else str(given)
    state = str(document.get("__STATE__", "PUBLIC"))
    whole: Document = {"_id": key, "__STATE__": state, **document}
    whole["_id"] = key
    return whole


def user_keys(document: Document, fields: UserFields) -> list[tuple[str, str, str]]:
    """The rows by which a stored user is found."""
    key, value = str(document["_id"]), document.get(fields.id)
    rows = [("cluster", cluster, key) for cluster in _clusters(document.get(fields.clusters))]
    if fields.id != "_id" and value is not None:
        rows.append(("id", str(value), key))
    return rows


def write_document(
    connection: sqlite3.Connection, collection: Literal["user", "template"], document: Document
) -> None:
    """Write a document within a transaction. Raises sqlite3.Error."""
    whole = stored_form(document)
    key, state = whole["_id"], whole["__STATE__"]
    connection.execute(
        f"INSERT INTO {collection} VALUES (?, ?, ?) ON CONFLICT DO UPDATE"  # noqa: S608
        " SET state = excluded.state, document = excluded.document",
        (key, state, json.dumps(whole)),
    )
    if collection == "user":
        connection.execute("DELETE FROM user_key WHERE user = ?", (key,))
        _write_keys(connection, whole, indexed_fields(connection))


def indexed_fields(connection: sqlite3.Connection) -> UserFields:
    """By which id and which clusters users are found: those of the latest service."""
    row = connection.execute(
        "SELECT value FROM setting WHERE name = ?", (_FIELDS_SETTING,)
    ).fetchone()
    if row is None:
        return UserFields()
    id_field, clusters_field = json.loads(row[0])
    return UserFields(id=id_field, clusters=clusters_field)


def _write_keys(connection: sqlite3.Connection, document: Document, fields: UserFields) -> None:
    rows = user_keys(document, fields)
    connection.executemany("INSERT OR IGNORE INTO user_key VALUES (?, ?, ?)", rows)


def _clusters(value: JsonValue) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
