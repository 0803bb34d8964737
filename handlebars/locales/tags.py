"""Language tags, such as `it-IT` and `ar-EG-u-nu-latn`: which are well formed, and their parts."""

from __future__ import annotations

import re
from typing import NamedTuple

_TAG = re.compile(
    r"(?P<language>[a-z]{2,3}|[a-z]{5,8})(?:-(?P<script>[a-z]{4}))?"
    r"(?:-(?P<territory>[a-z]{2}|[0-9]{3}))?(?P<variants>(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*)"
    r"(?P<extensions>(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*)(?:-x(?:-[a-z0-9]{1,8})+)?",
    re.IGNORECASE,
)
_NUMBERING = re.compile(
    r"-u(?:-[a-z0-9]{3,8})*(?:-(?!nu-)[a-z0-9]{2}(?:-[a-z0-9]{3,8})*)*-nu-([a-z0-9]{3,8})"
)
_LONGEST = 100


class Tag(NamedTuple):
    """A tag taken apart; `numbering` is the system of digits that it asks for."""

    language: str
    script: str | None
    territory: str | None
    variants: tuple[str, ...]
    numbering: str | None


def read_tag(text: str) -> Tag:
    """Take a language tag apart.

    Raises:
        ValueError: it is none.
    """
    found = _TAG.fullmatch(text) if len(text) <= _LONGEST else None
    if found is None:
        raise ValueError(f"`{text[:40]}` is no language tag, such as `it-IT`")
    numbering = _NUMBERING.search(found["extensions"].lower())
    script, territory = found["script"], found["territory"]
    return Tag(
        found["language"].lower(),
        script.title() if script else None,
        territory.upper() if territory else None,
        tuple(found["variants"].lower().split("-")[1:]),
        numbering[1] if numbering else None,
    )
