"""Ids as they were asked for, and which of them a document answers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from carillon.messages.model import Document

_OBJECT_ID: Final = re.compile(r"[0-9a-fA-F]{24}")


def is_object_id(value: str) -> bool:
    """Whether it can be cast to an ObjectId."""
    return _OBJECT_ID.fullmatch(value) is not None


class Asked:
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
