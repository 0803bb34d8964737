"""The identity of an imported user: `_id`, or else the id field that the configuration names.

A user without `_id` replaces the stored user with the same id, or all of them if an earlier import
made several. A user with `_id` must not take the id of another user.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from carillon.messages.model import Document, JsonValue
from carillon.stores.imports.documents import BadLine
from carillon.stores.ports import KnownUser, KnownUsers

AT_ONCE: Final = 200
"""Users that are looked for in one question to the store."""
_SHOWN: Final = 60  # characters of a value


@dataclass(frozen=True, slots=True)
class Settled:
    """Documents whose `_id` is settled, and the `_id`s of the users that they replace."""

    documents: Sequence[Document]
    replaced: Sequence[str]


class SeenIds:
    """The ids of one file, each of which may occur once; kept on disk, not in memory."""

    def __init__(self, field: str) -> None:
        """`field` is what `userFields.id` names; `_id` for what has no other id."""
        self._field = field
        # An empty name is a file that SQLite makes for itself, and removes. Threads take turns.
        self._seen = sqlite3.connect("", check_same_thread=False)
        self._seen.execute(
            "CREATE TABLE seen (kind, id, line, PRIMARY KEY (kind, id)) WITHOUT ROWID"
        )

    def close(self) -> None:
        """Forget them."""
        self._seen.close()

    def add(self, line: int, document: Document) -> None:
        """Note the ids of a document.

        Raises:
            ValueError: one occurred before, or the user has no id at all.
        """
        key, value = given_id(document), document.get(self._field)
        user_id = id_text(value)
        is_none = value is None or value == ""
        if self._field != "_id" and key is None and user_id is None and not is_none:
            raise ValueError(
                f"{self._field} must be a string or a whole number where a user has no _id: "
                f"{json.dumps(value)[:_SHOWN]}"
            )
        self._add(line, "_id", key or user_id)
        if self._field != "_id" and _is_public(document):
            self._add(line, self._field, user_id)

    def _add(self, line: int, kind: str, text: str | None) -> None:
        if text is None:
            return
        row = (kind, text.encode("utf-8", "surrogatepass"))
        added = self._seen.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?)", (*row, line))
        if not added.rowcount:
            query = "SELECT line FROM seen WHERE kind = ? AND id = ?"
            ((before,),) = self._seen.execute(query, row).fetchall()
            raise ValueError(f"{kind} {text!r} is that of line {before} already")


def given_id(document: Document) -> str | None:
    """The `_id` that a document brings along."""
    given = document.get("_id")
    return None if given is None or given == "" else str(given)


def id_text(value: JsonValue) -> str | None:
    """An id as `recipients` name it, if it is one."""
    is_one = isinstance(value, str | int) and not isinstance(value, bool) and value != ""
    return str(value) if is_one else None


def settled(
    rows: Iterable[tuple[int, Document]], field: str, known: KnownUsers
) -> Iterator[Settled]:
    """Users as they will be written, in parts. Raises BadLine if one takes another's id."""
    part: list[tuple[int, Document]] = []
    for row in rows:
        part.append(row)
        if len(part) == AT_ONCE:
            yield _settled(part, field, known)
            part = []
    if part:
        yield _settled(part, field, known)


def _settled(part: Sequence[tuple[int, Document]], field: str, known: KnownUsers) -> Settled:
    wanted = [text for _, document in part if (text := id_text(document.get(field))) is not None]
    by_id: dict[str | None, list[KnownUser]] = {}
    by_key: dict[str, KnownUser] = {}
    for one in known(wanted):
        by_id.setdefault(one.user_id, []).append(one)
        by_key[one.key] = one
    documents: list[Document] = []
    replaced: list[str] = []
    for line, document in part:
        user_id = id_text(document.get(field))
        holders = [] if user_id is None else by_id.get(user_id, [])
        if user_id is None or given_id(document) is not None:
            _refuse_another(line, document, field, holders)
            documents.append(document)
            continue
        _refuse_taken(line, user_id, field, by_key.get(user_id))
        keys = sorted((one.key for one in holders), key=lambda key: (key != user_id, key))
        documents.append({**document, "_id": keys[0] if keys else user_id})
        replaced += keys[1:]
    return Settled(documents, replaced)


def _refuse_another(
    line: int, document: Document, field: str, holders: Sequence[KnownUser]
) -> None:
    for holder in holders:
        if holder.key != given_id(document) and holder.is_public and _is_public(document):
            raise BadLine(
                line, f"{field} {holder.user_id!r} is that of the user {holder.key!r} in the store"
            )


def _refuse_taken(line: int, user_id: str, field: str, other: KnownUser | None) -> None:
    if other is not None and other.user_id not in {None, user_id}:
        raise BadLine(
            line,
            f"{field} {user_id!r} is the _id of a user in the store whose {field} is "
            f"{other.user_id!r}; give this one an _id of its own",
        )


def _is_public(document: Document) -> bool:
    return document.get("__STATE__", "PUBLIC") == "PUBLIC"
