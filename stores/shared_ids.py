"""Ids that several users have: nobody knows who is meant, so none of them is reached.

Only where `userFields.id` names another field than `_id`, which every store keeps unique.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from carillon.messages.model import Document, Recipient


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
