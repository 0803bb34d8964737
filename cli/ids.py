"""Ids as people type them: how one begins is enough where no other begins so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from carillon.cli.failure import BadInput
from carillon.cli.table import printable

_WHOLE: Final = 36
"""Characters of a UUID: what is as long is no beginning."""
_SHOWN: Final = 10

Beginning = Callable[[str, int], Sequence[str]]
"""Gives at most so many ids that begin as a text does, the newest first."""


def whole_id(given: str, thing: str, beginning: Beginning) -> str:
    """The only id that begins as given; what is given itself where none does.

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
