"""Words from a closed list, as callers give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from carillon.messages.errors import BadCommand

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
