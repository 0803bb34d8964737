"""What the head of a download says of a file: its name and its media type."""

from __future__ import annotations

import re
from mimetypes import guess_type
from typing import Final
from urllib.parse import unquote

_MEDIA_TYPE: Final = re.compile(r"[\w.+!#$&^-]+/[\w.+!#$&^-]+", re.ASCII)
# RFC 6266: `filename*=UTF-8''na%C3%AFve.txt`, `filename="na\"ive.txt"` or `filename=plain.txt`.
_EXTENDED: Final = re.compile(
    r";\s*filename\*\s*=\s*(utf-8|iso-8859-1)'[\w-]*'([^;\s]+)", re.I | re.ASCII
)
_QUOTED: Final = re.compile(r';\s*filename\s*=\s*"((?:\\.|[^"\\])*)"', re.I)
_PLAIN: Final = re.compile(r';\s*filename\s*=\s*([^";\s]+)', re.I)
_QUOTED_STRING: Final = re.compile(r'"(?:\\.|[^"\\])*"')


def disposition_name(header: str) -> str | None:
    """The file name in a Content-Disposition, without folders; None when it gives none.

    `filename*` wins over `filename` (RFC 6266, 4.3).
    """
    return _extended_name(header) or _plain_name(header)


def media_type(header: str | None, name: str) -> str:
    """The type in a Content-Type without its parameters, else the guess for the name."""
    declared = (header or "").partition(";")[0].strip()
    if _MEDIA_TYPE.fullmatch(declared):
        return declared.lower()
    return guess_type(name)[0] or "application/octet-stream"


def _extended_name(header: str) -> str | None:
    # Inside a quoted string `;filename*=` is only text.
    match = _EXTENDED.search(_QUOTED_STRING.sub('""', header))
    if match is None:
        return None
    charset, encoded = match.groups()
    try:
        return leaf(unquote(encoded, encoding=charset, errors="strict"))
    except UnicodeError:
        return None


def _plain_name(header: str) -> str | None:
    if match := _QUOTED.search(header):
        return leaf(re.sub(r"\\(.)", r"\1", match[1]))
    match = _PLAIN.search(header)
    return leaf(match[1]) if match else None


def leaf(name: str) -> str | None:
    """The last part of a path of either kind, without what is not printable."""
    leaf = re.split(r"[/\\]", name)[-1]
    return "".join(filter(str.isprintable, leaf)).strip() or None
