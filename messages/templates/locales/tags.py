"""Language tags, such as `it-IT` and `ar-EG-u-nu-latn`: which are well formed, and their locale."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from messages.templates.locales.numbers import is_numbering

if TYPE_CHECKING:
    from babel import Locale

_TAG = re.compile(
    r"(?P<language>[a-z]{2,3}|[a-z]{5,8})(?:-(?P<script>[a-z]{4}))?"
    r"(?:-(?P<territory>[a-z]{2}|[0-9]{3}))?(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3}))*"
    r"(?P<extensions>(?:-[a-wyz0-9](?:-[a-z0-9]{2,8})+)*)(?:-x(?:-[a-z0-9]{1,8})+)?",
    re.IGNORECASE,
)
_NUMBERING = re.compile(
    r"-u(?:-[a-z0-9]{3,8})*(?:-(?!nu-)[a-z0-9]{2}(?:-[a-z0-9]{3,8})*)*-nu-([a-z0-9]{3,8})"
)
_LONGEST = 100


class Tag(NamedTuple):
    """A tag taken apart."""

    language: str
    script: str | None
    territory: str | None
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
    system = numbering[1] if numbering and is_numbering(numbering[1]) else None
    script, territory = found["script"], found["territory"]
    return Tag(
        found["language"].lower(),
        script.title() if script else None,
        territory.upper() if territory else None,
        system,
    )


def find_locale(tag: Tag, fallback: str) -> Locale:
    """Find Babel's locale for a tag, or for the fallback where nothing is known of its language."""
    from babel import Locale, UnknownLocaleError  # noqa: PLC0415

    shorter = [(tag.script, tag.territory), (None, tag.territory), (tag.script, None), (None, None)]
    for script, territory in shorter:
        parts = [part for part in (tag.language, script, territory) if part]
        try:
            return Locale.parse("_".join(parts))
        except (UnknownLocaleError, ValueError):
            continue
    return Locale.parse(fallback.replace("-", "_"))


def forget_locales() -> None:
    """Let go of the data of the locales in use: Babel itself keeps all that it has ever read."""
    from babel import localedata  # noqa: PLC0415

    kept: object = getattr(localedata, "_cache", None)
    if isinstance(kept, dict):
        kept.clear()
