"""Ids as people type them: the beginning is enough if no other id has it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from carillon.cli.failure import BadInput
from carillon.cli.table import printable

_WHOLE: Final = 36
"""Characters of a UUID: a text of this length is a whole id."""
_SHOWN: Final = 10

Beginning = Callable[[str, int], Sequence[str]]
"""Lists at most this many ids that begin with a text, the newest first."""


def whole_id(given: str, thing: str, beginning: Beginning) -> str:
    """The only id that begins with the given text; the text itself if there is none.

    Raises:
        BadInput: it is empty, or several ids begin so.
    """
    if not given:  # perhaps a variable that is not set; the path would be that of the list
        raise BadInput(f"The id of {thing} must not be empty")
    if len(given) >= _WHOLE:
        return given
    # A service of an earlier version gives the newest, whatever they begin with.
    found = [one for one in beginning(given, _SHOWN + 1) if one.startswith(given)]
    if not found or given in found:
        return given
    if len(found) == 1:
        return found[0]
    lines = [f"  {printable(one)}" for one in found[:_SHOWN]]
    lines += ["  …"] * (len(found) > _SHOWN)
    raise BadInput("\n".join([f"{given} is how the ids of several begin; which one?", *lines]))
