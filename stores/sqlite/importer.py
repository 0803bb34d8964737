"""Users of the embedded store as an import looks for them: by `_id`, and by their id."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from pydantic_core import from_json

from carillon.stores.ports import KnownUser, KnownUsers
from carillon.stores.sqlite.database import transaction
from carillon.stores.sqlite.directory import indexed_fields, list_documents

_ROWS: Final = 1000


def known_users(connection: sqlite3.Connection, field: str) -> KnownUsers:
    """What finds users by `_id` and by this field, as they are now.

    Where users are not indexed by the field they are read once, all of them. Raises sqlite3.Error.
    """
    index = "(SELECT value, user FROM user_key WHERE kind = 'id')"
    if indexed_fields(connection).id != field:
        _index(connection, field)
        index = "temp.known_id"

    def known(ids: Sequence[str]) -> Iterable[KnownUser]:
        if not ids:
            return []
        listed = f"(VALUES {', '.join(['(?)'] * len(ids))})"
        rows = connection.execute(
            "SELECT u.id, u.state, u.document FROM user AS u WHERE u.id IN"  # noqa: S608
            f" (SELECT k.user FROM {listed} AS j JOIN {index} AS k ON k.value = j.column1"
            f" UNION SELECT column1 FROM {listed})",
            (*ids, *ids),
        )
        return [_known(key, state, text, field) for key, state, text in rows]

    return known


def remove_users(connection: sqlite3.Connection, keys: Sequence[str]) -> None:
    """Take users out by their `_id`s. Raises sqlite3.Error."""
    with transaction(connection):
        for key in keys:
            connection.execute("DELETE FROM user WHERE id = ?", (key,))
            connection.execute("DELETE FROM user_key WHERE user = ?", (key,))


def _known(key: str, state: str, text: str, field: str) -> KnownUser:
    return KnownUser(key, _id_text(from_json(text), field), state == "PUBLIC")


def _id_text(document: object, field: str) -> str | None:
    value = document.get(field) if isinstance(document, dict) else None
    return None if value is None else str(value)


def _index(connection: sqlite3.Connection, field: str) -> None:
    connection.execute("DROP TABLE IF EXISTS temp.known_id")
    connection.execute("CREATE TEMP TABLE known_id (value TEXT, user TEXT)")
    rows = _ids(connection, field)
    while part := list(islice(rows, _ROWS)):
        connection.executemany("INSERT INTO temp.known_id VALUES (?, ?)", part)
    connection.execute("CREATE INDEX temp.known_id_by_value ON known_id (value)")


def _ids(connection: sqlite3.Connection, field: str) -> Iterator[tuple[str, str]]:
    for document in list_documents(connection, "user"):
        if (text := _id_text(document, field)) is not None:
            yield text, str(document["_id"])
