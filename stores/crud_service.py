"""The directory over Mia's CRUD Service: users in pages, templates by id (contracts 1.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import httpx

from messages.errors import TemplateNotFound
from messages.model import Audience, Cursor, Document, Page, Recipient, UserFields
from stores.asked import Asked, is_object_id
from stores.crud_client import CrudClient, InvalidObjectId, NoSuchDocument
from stores.crud_query import PAGE, Collection, matching, projection

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
            TemplateNotFound: nobody has it, it is not PUBLIC, or no templates are configured.
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
            return Page(page.recipients, page.missing, None)
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
                found += await self._matching("_id", chunk.askable)
            start += chunk.length
        return self._recipients(found, Asked(()))

    async def check(self) -> None:
        """Return when users can be read; raise DirectoryUnavailable when not."""
        with self._crud.deadline():
            await self._crud.documents(self._users, self._users.list_url(limit=1))

    async def _listed(self, audience: Audience, cursor: Cursor) -> Page:
        field = self._fields.id
        only = projection(audience.fields)
        chunk = self._users.chunk(field, audience.recipients, cursor.position, only)
        documents = await self._matching(field, chunk.askable, cursor.after, only=only)
        # A page of unique ids is never followed by another one, however full it is.
        more = len(documents) >= PAGE and field != "_id"
        asked = Asked(chunk.askable)
        missing: Sequence[str] = ()
        if cursor.after is None:
            unseen = asked.without(documents, field)
            missing = (*chunk.unaskable, *(await self._unknown(unseen) if more else unseen))
        recipients = self._recipients(documents, asked)
        return Page(recipients, missing, _following(recipients, cursor, chunk.length, more=more))

    async def _members(self, audience: Audience, cursor: Cursor) -> Page:
        field = self._fields.clusters
        start = cursor.position - len(audience.recipients)
        only = projection(audience.fields)
        chunk = self._users.chunk(field, audience.clusters, start, only)
        documents = await self._matching(field, chunk.askable, cursor.after, only=only)
        recipients = self._recipients(documents, Asked(()))
        more = len(documents) >= PAGE
        return Page(recipients, (), _following(recipients, cursor, chunk.length, more=more))

    async def _unknown(self, ids: Sequence[str]) -> Sequence[str]:
        """Those of the ids that nobody has, where many users may share one.

        Each round finds the users of one more id at least, or ends.
        """
        field = self._fields.id
        while ids:
            documents = await self._matching(field, ids, only=[field])
            left = Asked(ids).without(documents, field)
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
    ) -> list[Document]:
        """A page of users whose field is, or has, one of the values.

        One value that is no ObjectId spoils the whole query where the field holds ObjectIds;
        where it holds strings every value is fine. The first refusal tells which it is.
        """
        asked = values
        if field in self._object_id_fields:
            asked = [value for value in values if is_object_id(value)]
        if not asked:
            return []
        try:
            return await self._crud.documents(
                self._users, self._users.list_url(matching(field, asked, after), only=only)
            )
        except InvalidObjectId:
            refused_place = after is not None and not is_object_id(after)
            if refused_place or all(map(is_object_id, asked)):
                raise
            self._object_id_fields.add(field)
            return await self._matching(field, values, after, only=only)

    def _recipients(self, documents: Sequence[Document], asked: Asked) -> list[Recipient]:
        found: dict[str, Recipient] = {}
        for document in documents:
            names = asked.spellings(document, self._fields.id)
            user_id = names[0] if names else self._fields.user_id(document)
            key = str(document["_id"])
            found[key] = Recipient(user_id, key, document)
        return list(found.values())


def _following(
    recipients: Sequence[Recipient], cursor: Cursor, length: int, *, more: bool
) -> Cursor:
    """Where to go on: inside the same chunk, or at the next one."""
    if more:
        return Cursor(cursor.position, recipients[-1].key)
    return Cursor(cursor.position + length)


def _not_found(template_id: str) -> TemplateNotFound:
    named = template_id if len(template_id) <= _NAME_LENGTH else template_id[:_NAME_LENGTH] + "…"
    return TemplateNotFound(
        f"Template {named} not found: it does not exist or is not PUBLIC "
        "(documents of the CRUD Service are DRAFT until they are published)"
    )
