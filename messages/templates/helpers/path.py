"""Paths as text: basename, dirname, extname, stem, segments. No file is looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from messages.templates.helpers.arguments import ABSENT, cut
from messages.templates.registry import Helper, Invocation
from messages.templates.values import UNDEFINED

_SLASHES = re.compile(r"[\\/]+")


def _path(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("it takes a path, which is a text")
    return str(value)


def basename(_call: Invocation, path: object = ABSENT, *_: object) -> object:
    """Give the last part of a path."""
    return _base(_path(path))


def dirname(_call: Invocation, path: object = ABSENT, *_: object) -> object:
    """Give a path without its last part."""
    text = _path(path)
    slash = text.rstrip("/").rfind("/")
    if slash > 0:
        return "//" if slash == 1 and text[0] == "/" else text[:slash]
    return "/" if text.startswith("/") else "."


def extname(_call: Invocation, path: object = ABSENT, *_: object) -> object:
    """Give the ending of a path, with its dot."""
    return _ending(_base(_path(path)))


def stem(_call: Invocation, path: object = ABSENT, *_: object) -> object:
    """Give the last part of a path without its ending."""
    base = _base(_path(path))
    return base.removesuffix(_ending(base))


def segments(
    call: Invocation,
    path: object = ABSENT,
    start: object = ABSENT,
    end: object = ABSENT,
    *_: object,
) -> object:
    """Give some parts of a path: from the index `start` up to `end`."""
    text = _path(path)
    call.charge(len(text) // 32)
    parts = _SLASHES.split(text)
    return "/".join(cut(parts, start, UNDEFINED if start is ABSENT else end))


def _base(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _ending(base: str) -> str:
    dot = base.rfind(".")
    return "" if dot <= 0 or base == ".." else base[dot:]


PATH: Mapping[str, Helper] = MappingProxyType(
    {
        "dirname": dirname,
        "basename": basename,
        "stem": stem,
        "extname": extname,
        "segments": segments,
    }
)
