"""The directory over Mia's CRUD Service: users in pages, templates by id (contracts 1.1)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import httpx

from carillon.messages.errors import DirectoryUnavailable, TemplateNotFound, no_template
from carillon.messages.model import Audience, Cursor, Document, Page, Recipient, UserFields
from carillon.stores.crud.client import Answered, CrudClient, InvalidObjectId, NoSuchDocument
from carillon.stores.crud.query import PAGE, Collection, matching, projection
from carillon.stores.ids import RequestedIds, apart, ids_of, is_object_id

_NAME_LENGTH: Final = 100
# Ids that would reach another route of the collection, or climb out of it.
_NO_DOCUMENT: Final = frozenset({"", ".", "..", "count", "export", "schema"})


class CrudDirectory:
    """Reads users and templates of the CRUD Service; only PUBLIC documents are visible.

    A cursor's `position` counts listed ids first and then, beyond `len(recipients)`, clusters: a
    list of clusters that no URL can carry is asked in chunks too. `after` is the `_id` of the
    last user read inside the chunk that starts at `position`. A `_id` is therefore expected to be
    of one type in the whole collection.

    Repeats are removed inside a page only: an id that is listed twice far apart may be on two
    pages, as found or as missing, and so may a member of clusters of two chunks.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        base_url: str,
        *,
        users: str,
        templates: str | None,
        fields: UserFields,
        timeout: float,
    ) -> None:
        """`users` and `templates` name collections, `timeout` bounds each read in seconds."""
        self._crud = CrudClient(client, timeout)
        self._users = Collection(base_url, users)
        self._templates = None if templates is None else Collection(base_url, templates)
        self._fields = fields
        # Learnt from 400s: a field of another type never answers `Invalid objectId`.
        self._object_id_fields: set[str] = set()

    async def template(self, template_id: str) -> Document:
        """The PUBLIC template with this id, as it is stored.

        Raises:
            TemplateNotFound: it does not exist, is not PUBLIC, or no templates are configured.
            DirectoryUnavailable: it could not be read now.
        """
        if self._templates is None:
            raise TemplateNotFound("No templates collection is configured: set TEMPLATES_CRUD_NAME")
        url = self._templates.document_url(template_id)
        if url is None or template_id in _NO_DOCUMENT:
            raise _not_found(template_id)
        try:
            with self._crud.deadline():
                return await self._crud.document(self._templates, url)
        except NoSuchDocument as error:
            raise _not_found(template_id) from error

    async def page(self, audience: Audience, cursor: Cursor) -> Page:
        """The part of an audience that starts at a cursor, at most 200 users as a rule.

        Raises:
            DirectoryUnavailable: it could not be read, was refused, or was cut off.
        """
        listed = len(audience.recipients)
        with self._crud.deadline():
            if cursor.position < listed:
                page = await self._listed(audience, cursor)
            elif cursor.position < listed + len(audience.clusters):
                page = await self._members(audience, cursor)
            else:
                return Page((), (), None)
        following = page.next
        if following is not None and following.position >= listed + len(audience.clusters):
            return replace(page, next=None)
        return page

    async def users(self, keys: Sequence[str]) -> Sequence[Recipient]:
        """Those of the users with these `_id`s that are there.

        Raises:
            DirectoryUnavailable: they could not be read.
        """
        found: list[Document] = []
        start = 0
        while start < len(keys):
            chunk = self._users.chunk("_id", keys, start)
            with self._crud.deadline():
                found += (await self._matching("_id", chunk.askable)).documents
            start += chunk.length
        return self._recipients(found, RequestedIds(()))

    async def check(self) -> None:
        """Return when users can be read; raise DirectoryUnavailable when not."""
        with self._crud.deadline():
            await self._crud.documents(self._users, self._users.list_url(limit=1))

    async def _listed(self, audience: Audience, cursor: Cursor) -> Page:
        field = self._fields.id
        only = projection(audience.fields)
        chunk = self._users.chunk(field, audience.recipients, cursor.position, only)
        answered = await self._matching(field, chunk.askable, cursor.after, only=only)
        documents = answered.documents
        # A page of unique ids is never followed by another one, however full it is.
        more = len(documents) >= PAGE and field != "_id"
        asked = RequestedIds(chunk.askable)
        missing: Sequence[str] = ()
        if cursor.after is None:
            unseen = asked.without(documents, field)
            missing = (*chunk.unaskable, *(await self._unknown(unseen) if more else unseen))
        found = self._recipients(documents, asked)
        following = _following(found, cursor, chunk.length, more=more)
        # All users of the chunk's ids are here, unless there are more pages of them.
        is_part = more or cursor.after is not None
        page = await self._page(found, missing, following, is_part=is_part)
        return replace(page, size=answered.size)

    async def _members(self, audience: Audience, cursor: Cursor) -> Page:
        field = self._fields.clusters
        start = cursor.position - len(audience.recipients)
        only = projection(audience.fields)
        chunk = self._users.chunk(field, audience.clusters, start, only)
        answered = await self._matching(field, chunk.askable, cursor.after, only=only)
        found = self._recipients(answered.documents, RequestedIds(()))
        more = len(answered.documents) >= PAGE
        following = _following(found, cursor, chunk.length, more=more)
        page = await self._page(found, (), following, is_part=True)
        return replace(page, size=answered.size)

    async def _page(
        self,
        found: Sequence[Recipient],
        missing: Sequence[str],
        following: Cursor,
        *,
        is_part: bool,
    ) -> Page:
        """A page; where it is a part only, users elsewhere may share an id with those on it."""
        field = self._fields.id
        shared = await self._shared(ids_of(found, field)) if is_part else ()
        recipients, ambiguous = apart(found, field, shared)
        return Page(recipients, missing, following, ambiguous)

    async def _shared(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that several users have."""
        field, shared, start = self._fields.id, set[str](), 0
        only = (field,)
        while start < len(ids):
            chunk = self._users.chunk(field, ids[: start + PAGE // 2], start, only)
            left = list(chunk.askable)
            while left:
                documents = (await self._matching(field, left, only=only)).documents
                held = Counter(
                    one.user_id for one in self._recipients(documents, RequestedIds(left))
                )
                several = {user_id for user_id, users in held.items() if users > 1}
                shared |= several
                # A full page of half as many ids names one that several have, and hides others.
                is_full = len(documents) >= PAGE and several
                left = [user_id for user_id in left if user_id not in several] if is_full else []
            start += chunk.length
        return shared

    async def _unknown(self, ids: Sequence[str]) -> Sequence[str]:
        """The ids that no user has, when many users may share one.

        Each round finds the users of at least one more id, or ends.
        """
        field = self._fields.id
        while ids:
            documents = (await self._matching(field, ids, only=[field])).documents
            left = RequestedIds(ids).without(documents, field)
            if len(documents) < PAGE or len(left) == len(ids):
                return left
            ids = left
        return ids

    async def _matching(
        self,
        field: str,
        values: Sequence[str],
        after: str | None = None,
        *,
        only: Sequence[str] = (),
    ) -> Answered:
        """A page of users whose field is, or has, one of the values.

        One value that is no ObjectId spoils the whole query where the field holds ObjectIds;
        where it holds strings every value is fine. The first refusal tells which it is.
        """
        asked = values
        if field in self._object_id_fields:
            asked = [value for value in values if is_object_id(value)]
        if not asked:
            return Answered([], 0)
        try:
            answered = await self._crud.documents(
                self._users, self._users.list_url(matching(field, asked, after), only=only)
            )
            _check_follows(answered.documents, after)
            return replace(answered, documents=_only(answered.documents, only))
        except InvalidObjectId:
            refused_place = after is not None and not is_object_id(after)
            if refused_place or all(map(is_object_id, asked)):
                raise
            self._object_id_fields.add(field)
            return await self._matching(field, values, after, only=only)

    def _recipients(self, documents: Sequence[Document], asked: RequestedIds) -> list[Recipient]:
        found: dict[str, Recipient] = {}
        for document in documents:
            names = asked.spellings(document, self._fields.id)
            user_id = names[0] if names else self._fields.user_id(document)
            key = str(document["_id"])
            found[key] = Recipient(user_id, key, document)
        return list(found.values())


def _check_follows(documents: Sequence[Document], after: str | None) -> None:
    """Raise DirectoryUnavailable for a page that was read before: reading on would never end.

    Texts are in the order of the collection's collation, which is not known here.
    """
    keys = [str(document["_id"]) for document in documents]
    in_order = after is not None and is_object_id(after)
    for key in keys if after is not None else ():
        if key == after or (in_order and is_object_id(key) and key.lower() < str(after).lower()):
            raise DirectoryUnavailable("The CRUD Service gave users again that came before")


def _only(documents: list[Document], names: Sequence[str]) -> list[Document]:
    """Without what was not asked for and came all the same: users are kept for a while."""
    kept = {"_id", *names}
    if not names or all(document.keys() <= kept for document in documents):
        return documents
    return [{k: v for k, v in document.items() if k in kept} for document in documents]


def _following(
    recipients: Sequence[Recipient], cursor: Cursor, length: int, *, more: bool
) -> Cursor:
    """Where to go on: inside the same chunk, or at the next one."""
    if more:
        return Cursor(cursor.position, recipients[-1].key)
    return Cursor(cursor.position + length)


def _not_found(template_id: str) -> TemplateNotFound:
    named = template_id if len(template_id) <= _NAME_LENGTH else template_id[:_NAME_LENGTH] + "…"
    return no_template(named, " (documents of the CRUD Service are DRAFT until they are published)")
