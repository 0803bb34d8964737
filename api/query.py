"""How much of a long list a caller asks for at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

from quart import request

from carillon.messages.errors import BadCommand

DEFAULT_LIMIT: Final = 100
MOST: Final = 1000


def asked_prefix() -> str:
    """What the ids of what is listed begin with, as the current request says; "" is any."""
    return request.args.get("idPrefix", "")


def asked_limit() -> int:
    """The `limit` of the current request. Raises BadCommand."""
    text = request.args.get("limit", str(DEFAULT_LIMIT))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0  # noqa: PLR2004
    if not 1 <= limit <= MOST:
        raise BadCommand(f"limit must be a whole number from 1 to {MOST}")
    return limit


W = TypeVar("W", bound=str)


def one_of(name: str, given: object, allowed: Sequence[W]) -> W | None:
    """The word, if one is given. Raises BadCommand."""
    return None if given is None else _the_word(name, given, allowed)


def some_of(name: str, given: Sequence[object], allowed: Sequence[W]) -> Sequence[W]:
    """Each of the words. Raises BadCommand."""
    return [_the_word(name, one, allowed) for one in given]


def _the_word(name: str, given: object, allowed: Sequence[W]) -> W:
    for word in allowed:
        if given == word:
            return word
    raise BadCommand(f"{name} must be one of {', '.join(allowed)}")
