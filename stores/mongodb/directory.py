"""Users and templates in MongoDB: reading them for dispatches."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, TypeAlias, TypeVar, cast

from bson import decode_all
from pymongo import IndexModel
from pymongo.synchronous.collection import Collection as PymongoCollection

from carillon.messages.errors import DirectoryUnavailable, no_template
from carillon.messages.model import Audience, Cursor, Document, Page, Recipient, UserFields
from carillon.stores.ids import RequestedIds, apart, ids_of
from carillon.stores.mongodb.client import Database, Indexes, MongoStore, Stored
from carillon.stores.mongodb.documents import (
    as_document,
    is_storable,
    known_by,
    place,
    ranges_after,
)

T = TypeVar("T")
Collection: TypeAlias = PymongoCollection[Stored]
Query: TypeAlias = Mapping[str, object]

PAGE: Final = 500
LISTED: Final = 200
"""Most values of one `$in`."""
_CUT_BYTES: Final = 8 * 1024 * 1024
"""Documents of a page after which no more of them are asked for."""
USERS: Final = "users"
TEMPLATES: Final = "templates"

_STATE: Final = "__STATE__"
_PUBLIC: Final = "PUBLIC"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+")
_NAME_LENGTH: Final = 100


def directory_indexes(fields: UserFields) -> Indexes:
    """What users are found by, and in which order their pages are read."""
    names = dict.fromkeys((fields.clusters, fields.id))
    names.pop("_id", None)
    return {USERS: [IndexModel([(name, 1), ("_id", 1)]) for name in names]}


class MongoDirectory:
    """Implements `messages.ports.directory.Directory`; only PUBLIC documents are visible.

    A `_id` is a string, an ObjectId or a number; others are not seen. A cursor's `position` counts
    listed ids first and then clusters, of which 200 at once are one walk in the order of `_id`;
    `after` is the last `_id` of the walk, and of the users of listed ids where very many share one.
    Repeats are removed inside such a walk only.
    """

    def __init__(self, store: MongoStore, fields: UserFields, timeout: float) -> None:
        """`timeout` bounds each read in seconds, however often it is tried."""
        self._store = store
        self._fields = fields
        self._timeout = timeout

    async def template(self, template_id: str) -> Document:
        """See the port."""
        query = {"_id": {"$in": known_by(template_id)}}
        for found in await self._read(lambda database: list(database[TEMPLATES].find(query))):
            if found.get(_STATE) == _PUBLIC:
                return as_document(found)
        named = template_id[:_NAME_LENGTH] + "…" * (len(template_id) > _NAME_LENGTH)
        raise no_template(named)

    async def page(self, audience: Audience, cursor: Cursor) -> Page:
        """See the port."""
        listed = len(audience.recipients)
        if cursor.position < listed:
            page = await self._read(lambda database: self._listed(database, audience, cursor))
        elif cursor.position < listed + len(audience.clusters):
            page = await self._read(lambda database: self._members(database, audience, cursor))
        else:
            return Page((), (), None)
        following = page.next
        if following is not None and following.position >= listed + len(audience.clusters):
            return replace(page, next=None)
        return page

    async def users(self, keys: Sequence[str]) -> Sequence[Recipient]:
        """See the port."""
        return await self._read(lambda database: self._by_key(database[USERS], keys))

    async def check(self) -> None:
        """See the port."""
        await self._read(lambda database: database[USERS].find_one({}, {"_id": 1}))

    async def _read(self, job: Callable[[Database], T]) -> T:
        return await self._store.run(
            job, self._timeout, DirectoryUnavailable, "read users and templates"
        )

    def _by_key(self, users: Collection, keys: Sequence[str]) -> list[Recipient]:
        found: list[Stored] = []
        for start in range(0, len(keys), LISTED):
            found += users.find(_one_of("_id", keys[start : start + LISTED]))
        return self._recipients(found, RequestedIds(()))

    def _listed(self, database: Database, audience: Audience, cursor: Cursor) -> Page:
        users, only = database[USERS], self._projection(audience.fields)
        chunk = audience.recipients[cursor.position : cursor.position + LISTED]
        following = Cursor(cursor.position + len(chunk))
        names = list(dict.fromkeys(chunk))
        query, asked = _one_of(self._fields.id, names), RequestedIds(names)
        if cursor.after is None:
            # The state decides about few, and ids alone are found in one index for sure.
            read = _batch(users, query, only, PAGE + 1)
            recipients = self._recipients(read.found, asked)
            if not read.is_part:
                missing = asked.without([one.document for one in recipients], self._fields.id)
                alone, ambiguous = apart(_in_order(recipients, names), self._fields.id)
                return Page(alone, missing, following, ambiguous, read.size)
        most = PAGE - LISTED  # with the missing ones it is a page
        read = _walk(users, {**query, _STATE: _PUBLIC}, only, cursor.after, most)
        missing = [] if cursor.after else self._unknown(users, query, asked)
        if read.is_part:
            following = Cursor(cursor.position, place(read.found[-1]["_id"]))
        page = self._page(users, self._recipients(read.found, asked), missing, following)
        return replace(page, size=read.size)

    def _unknown(self, users: Collection, query: Query, asked: RequestedIds) -> list[str]:
        """The ids that no user has, when too many users have the others to read them all."""
        values = users.distinct(self._fields.id, {**query, _STATE: _PUBLIC})
        held = as_document({self._fields.id: values})
        return asked.without([held], self._fields.id)

    def _members(self, database: Database, audience: Audience, cursor: Cursor) -> Page:
        start = cursor.position - len(audience.recipients)
        chunk = [name for name in audience.clusters[start : start + LISTED] if is_storable(name)]
        query = {self._fields.clusters: {"$in": list(dict.fromkeys(chunk))}, _STATE: _PUBLIC}
        only = self._projection(audience.fields)
        read = _walk(database[USERS], query, only, cursor.after, PAGE)
        following = Cursor(cursor.position + LISTED)
        if read.is_part:
            following = Cursor(cursor.position, place(read.found[-1]["_id"]))
        found = self._recipients(read.found, RequestedIds(()))
        return replace(self._page(database[USERS], found, (), following), size=read.size)

    def _page(
        self,
        users: Collection,
        found: Sequence[Recipient],
        missing: Sequence[str],
        following: Cursor,
    ) -> Page:
        """A page of users some of whom may share their id with users who are not on it."""
        field = self._fields.id
        recipients, ambiguous = apart(found, field, _shared(users, field, ids_of(found, field)))
        return Page(recipients, missing, following, ambiguous)

    def _projection(self, fields: frozenset[str] | None) -> dict[str, int] | None:
        """What is read of a user; all of it where a name could be taken for a path."""
        if fields is None:
            return None
        names = sorted({*fields, "_id", _STATE, self._fields.id})
        return dict.fromkeys(names, 1) if all(map(_NAME.fullmatch, names)) else None

    def _recipients(self, found: Iterable[Stored], asked: RequestedIds) -> list[Recipient]:
        made: dict[str, Recipient] = {}
        for stored in found:
            if stored.get(_STATE) != _PUBLIC:
                continue
            document = as_document(stored)
            names = asked.spellings(document, self._fields.id)
            key = str(document["_id"])
            made[key] = Recipient(
                names[0] if names else self._fields.user_id(document), key, document
            )
        return list(made.values())


def _shared(users: Collection, field: str, ids: Sequence[str]) -> set[str]:
    """Those of the ids that several PUBLIC users have."""
    held: Counter[str] = Counter()
    for start in range(0, len(ids), LISTED):
        query = {**_one_of(field, ids[start : start + LISTED]), _STATE: _PUBLIC}
        groups = users.aggregate(
            [{"$match": query}, {"$group": {"_id": f"${field}", "users": {"$sum": 1}}}]
        )
        for group in groups:
            found = as_document(group)
            held[str(found["_id"])] += found["users"] if isinstance(found["users"], int) else 0
    return {user_id for user_id, number in held.items() if number > 1}


def _one_of(field: str, texts: Sequence[str]) -> Query:
    return {field: {"$in": [value for text in texts for value in known_by(text)]}}


@dataclass(frozen=True, slots=True)
class _Read:
    """Documents, whether there may be more of them, and how many bytes they take."""

    found: Sequence[Stored]
    is_part: bool
    size: int


def _walk(
    users: Collection, query: Query, only: Mapping[str, int] | None, after: str | None, most: int
) -> _Read:
    """A bounded number of users in the order of `_id`, fewer if they are large."""
    found: list[Stored] = []
    size = 0
    for following in ranges_after(after):
        both = {"$and": [query, {"_id": following}]}  # the query may be one of ids
        read = _batch(users, both, only, most - len(found), [("_id", 1)])
        found += read.found
        size += read.size
        if read.is_part:
            return _Read(found, is_part=True, size=size)
    return _Read(found, is_part=False, size=size)


def _batch(
    users: Collection,
    query: Query,
    only: Mapping[str, int] | None,
    most: int,
    order: Sequence[tuple[str, int]] | None = None,
) -> _Read:
    """At most so many documents, and no further answer of the server once they are large.

    Each of its answers ends at 16 MB.
    """
    size, found = 0, list[Stored]()
    with users.find_raw_batches(query, only, sort=order, limit=most, batch_size=most) as batches:
        for batch in cast("Iterator[bytes]", batches):
            found += decode_all(batch, users.codec_options)
            size += len(batch)
            if size > _CUT_BYTES:
                break
    return _Read(found, len(found) == most or size > _CUT_BYTES, size)


def _in_order(recipients: Sequence[Recipient], names: Sequence[str]) -> list[Recipient]:
    order = {name: number for number, name in enumerate(names)}
    return sorted(recipients, key=lambda one: (order.get(one.user_id, len(order)), one.key))
