"""Ids as they were asked for, and which of them a document answers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

from carillon.messages.model import Document, Recipient

_OBJECT_ID: Final = re.compile(r"[0-9a-fA-F]{24}")


def is_object_id(value: str) -> bool:
    """Whether it can be cast to an ObjectId."""
    return _OBJECT_ID.fullmatch(value) is not None


class RequestedIds:
    """Listed ids, and which of them a document answers."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = ids
        self._folded: dict[str, list[str]] = {}
        for asked in ids:
            self._folded.setdefault(asked.casefold(), []).append(asked)

    def spellings(self, document: Document, field: str) -> list[str]:
        """The ids, as they were asked for, that this document answers.

        ObjectIds come back in lower case, whatever was asked, and so may anything where the
        collection's collation ignores case. `$in` looks into arrays, so this does too.
        """
        value = document.get(field)
        found: list[str] = []
        for held in value if isinstance(value, list) else [value]:
            text = str(held)
            folded = self._folded.get(text.casefold(), [])
            exact = text in folded and not is_object_id(text)
            found += [text] if exact else folded
        return found

    def without(self, documents: Sequence[Document], field: str) -> list[str]:
        """The ids that none of the documents answers."""
        found = {asked for document in documents for asked in self.spellings(document, field)}
        return [asked for asked in self._ids if asked not in found]


def apart(
    recipients: Sequence[Recipient], field: str, shared: Collection[str] = ()
) -> tuple[list[Recipient], Sequence[str]]:
    """The users whose id is theirs alone, and each id that several have.

    That is, several of these users, or users elsewhere as well: those ids are `shared`.
    """
    if field == "_id":
        return list(recipients), ()
    held = Counter(one.user_id for one in recipients if has_id(one.document, field))
    several = {user_id for user_id, users in held.items() if users > 1 or user_id in shared}
    alone = [
        one for one in recipients if one.user_id not in several or not has_id(one.document, field)
    ]
    return alone, tuple(user_id for user_id in held if user_id in several)


def has_id(document: Document, field: str) -> bool:
    """Whether a user has an id of its own, and does not go by its `_id`."""
    return document.get(field) is not None


def ids_of(recipients: Sequence[Recipient], field: str) -> list[str]:
    """The ids to be looked up elsewhere, each once."""
    if field == "_id":
        return []
    return list(dict.fromkeys(one.user_id for one in recipients if has_id(one.document, field)))
