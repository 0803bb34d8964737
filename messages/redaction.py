"""Removes passwords and keys from texts that people read: URLs and `name=value` pairs hold them.

A text may be anything that was put in the wrong place, so what only might be a secret is removed as
well: hiding a harmless value costs less than showing a secret one.
"""

from __future__ import annotations

import re
from typing import Final

_HIDDEN: Final = "…"
_WORD: Final = re.compile(r"[^\s\"'<>]+")
_NAMED: Final = re.compile(
    r"((?:key|token|secret|passwd|password|pwd|auth|credentials?|signature|sig)=)[^&;,]+",
    re.IGNORECASE,
)


def without_secrets(text: str) -> str:
    """The text with an ellipsis for user names, passwords, queries and values of secrets.

    Takes time in proportion to the length of the text.
    """
    return _WORD.sub(_hidden, text) if any(mark in text for mark in "@=?") else text


def printable(text: str) -> str:
    """The text with everything escaped that a terminal or an encoder may reject."""
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return "".join(escaped)


def _hidden(word: re.Match[str]) -> str:
    text = word[0]
    # Up to the last @, because a password that is not encoded may hold a slash or another @.
    before, at, host = text.rpartition("@")
    if at:
        scheme, slashes, _ = before.partition("//")
        if slashes:
            text = f"{scheme}//{_HIDDEN}@{host}"
        elif ":" in before:
            text = f"{_HIDDEN}@{host}"
    is_url = "://" in text
    if not is_url and "=" not in text:
        return text
    for mark in "?#":
        address, found, rest = text.partition(mark)
        if "=" in rest or (rest and is_url and found == "?"):
            text = f"{address}{mark}{_HIDDEN}"
    return _NAMED.sub(rf"\1{_HIDDEN}", text)
