"""The users that a request brings with it: each document stands in `to`, and in no directory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import trio

from carillon.messages.document_list import DocumentList
from carillon.messages.errors import BadCommand
from carillon.messages.json_input import LONGEST_ID
from carillon.messages.model import Audience, Cursor, Document, Page, Recipient, UserFields
from carillon.messages.offload import SMALL, Offload
from carillon.messages.ports.directory import Directory
from carillon.stores.ids import is_object_id

PAGE: Final = 500
PAGE_BYTES: Final = 1024 * 1024
"""What the documents of a page hold as JSON: about so much at most, and one document at least."""


class InlineRecipients:
    """The recipients of `to`, in its order; of several with one id the first counts.

    A document names its user by `id` and holds the addresses under the names of `UserFields`, or
    under the standard ones. Without an id the user is known as `to[n]`, n the place from 0 on.
    """

    def __init__(
        self,
        documents: DocumentList | Sequence[Document],
        fields: UserFields,
        *,
        checks: bool = False,
    ) -> None:
        """`checks` refuses what a caller may not write.

        Raises:
            BadCommand: names the field and its rule.
        """
        self._documents = documents
        self._fields = fields
        self._places: dict[str, int] = {}
        self._repeats: set[int] = set()
        for at, document in enumerate(documents):
            if checks:
                _check(at, document, fields)
            user_id = _own_id(document, fields)
            if user_id and self._places.setdefault(_folded(user_id), at) != at:
                self._repeats.add(at)

    def __len__(self) -> int:
        """How many documents there are, repeated ids included."""
        return len(self._documents)

    def __contains__(self, user_id: object) -> bool:
        """Whether one of the documents has this id."""
        return isinstance(user_id, str) and _folded(user_id) in self._places

    @property
    def users(self) -> int:
        """How many users there are."""
        return len(self._documents) - len(self._repeats)

    @property
    def size(self) -> int:
        """The size of a long list in bytes of JSON; 0 for a short one."""
        return self._documents.size if isinstance(self._documents, DocumentList) else 0

    def page(self, start: int) -> tuple[Sequence[Recipient], int]:
        """Recipients from a place on, as many as a page has room for, and the place after them."""
        each = max(1, self.size // max(1, len(self)))
        end = min(len(self), start + max(1, min(PAGE, PAGE_BYTES // each)))
        places = [at for at in range(start, end) if at not in self._repeats]
        part = self._documents[start:end]
        return [self._recipient(at, part[at - start]) for at in places], end

    def at(self, places: Sequence[int]) -> Sequence[Recipient]:
        """The recipients at these places, those that there are."""
        found = [at for at in sorted(set(places)) if 0 <= at < len(self)]
        return [self._recipient(at, self._documents[at]) for at in found]

    def _recipient(self, at: int, document: Document) -> Recipient:
        user_id = _own_id(document, self._fields) or f"to[{at}]"
        # In the order of the places: whoever enrols keys that rise need not look for repeats.
        return Recipient(user_id, f"{at:07}", _completed(document, self._fields), is_inline=True)


async def inline_recipients(
    documents: DocumentList | Sequence[Document],
    fields: UserFields,
    offload: Offload,
    *,
    checks: bool = False,
) -> InlineRecipients:
    """The recipients of `to`; a long list is looked through in a thread. Raises BadCommand."""
    is_long = isinstance(documents, DocumentList) and documents.size > SMALL
    return await offload.run_if(is_long, lambda: InlineRecipients(documents, fields, checks=checks))


class InlineFirst:
    """A directory in which a request's own users come first and stand in for those it also has.

    A cursor's `position` counts these users and then goes on as that of the directory.
    """

    def __init__(self, inline: InlineRecipients, directory: Directory, offload: Offload) -> None:
        self._inline = inline
        self._directory = directory
        self._offload = offload

    async def template(self, template_id: str) -> Document:
        """See the port."""
        return await self._directory.template(template_id)

    async def users(self, keys: Sequence[str]) -> Sequence[Recipient]:
        """See the port; the request's own users have no `_id`."""
        return await self._directory.users(keys)

    async def check(self) -> None:
        """See the port."""
        await self._directory.check()

    async def page(self, audience: Audience, cursor: Cursor) -> Page:
        """See the port."""
        inline = self._inline
        if cursor.position >= len(inline):
            return await self._beyond(audience, cursor)
        await trio.lowlevel.checkpoint()
        is_long = inline.size > SMALL
        found, end = await self._offload.run_if(is_long, lambda: inline.page(cursor.position))
        is_last = end >= len(inline) and not (audience.recipients or audience.clusters)
        size = inline.size * (end - cursor.position) // len(inline)
        return Page(found, (), None if is_last else Cursor(end), size=size)

    async def _beyond(self, audience: Audience, cursor: Cursor) -> Page:
        inline, begun = self._inline, len(self._inline)
        page = await self._directory.page(audience, Cursor(cursor.position - begun, cursor.after))
        following = page.next
        return replace(
            page,
            recipients=[one for one in page.recipients if one.user_id not in inline],
            missing=[user_id for user_id in page.missing if user_id not in inline],
            ambiguous=[user_id for user_id in page.ambiguous if user_id not in inline],
            next=following and Cursor(following.position + begun, following.after),
        )


def _own_id(document: Document, fields: UserFields) -> str | None:
    found = document.get("id")
    found = document.get(fields.id) if found is None else found
    return found if isinstance(found, str) else None


def _completed(document: Document, fields: UserFields) -> Document:
    """A document in which what stands under a standard name stands under the configured one too."""
    more = {
        own: document[standard]
        for standard, own in _names(fields)
        if own != standard and document.get(own) is None and document.get(standard) is not None
    }
    return {**document, **more} if more else document


def _names(fields: UserFields) -> Sequence[tuple[str, str]]:
    """The standard name and the configured one of what a document may hold."""
    return (
        ("id", fields.id),
        ("emailAddress", fields.email_address),
        ("phoneNumber", fields.phone_number),
        ("deviceToken", fields.device_token),
    )


def _check(at: int, document: Document, fields: UserFields) -> None:
    for names in _names(fields):
        for name in names:
            value = document.get(name)
            if value is not None and not isinstance(value, str):
                raise BadCommand(f"to[{at}].{name} must be a string")
    for name in ("id", fields.id):
        value = document.get(name)
        if value == "":
            raise BadCommand(f"to[{at}].{name} must not be empty")
        if isinstance(value, str) and len(value) > LONGEST_ID:
            raise BadCommand(f"to[{at}].{name} must have at most {LONGEST_ID:,} characters")


def _folded(user_id: str) -> str:
    """An id as it is compared: that of an ObjectId may be asked for in either case."""
    return user_id.lower() if is_object_id(user_id) else user_id
