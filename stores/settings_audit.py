"""Cursors of the audit: the number of the last entry that was read, whatever the store."""

from __future__ import annotations

from typing import Final

from messages.errors import BadCommand

_LONGEST_CURSOR: Final = 18


def audit_place(cursor: str) -> int | None:
    """The number below which a page begins; None is the newest entry.

    Raises:
        BadCommand: it is no cursor that an answer held.
    """
    if not cursor:
        return None
    if not (cursor.isascii() and cursor.isdigit()) or len(cursor) > _LONGEST_CURSOR:
        raise BadCommand("cursor must be the next of an earlier answer")
    return int(cursor)
