"""Paths as text: basename, dirname, extname, stem, segments, relative. No file is looked at."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from carillon.handlebars.helpers.arguments import ABSENT, cut
from carillon.handlebars.runtime.registry import Helper, Invocation
from carillon.handlebars.runtime.values import UNDEFINED

_SLASHES = re.compile(r"[\\/]+")


def _path(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("it takes a path, which is a text")
    return str(value)


def basename(_call: Invocation, path: object = ABSENT, *_: object) -> object:
    """Return the last part of a path."""
    return _base(_path(path))


def dirname(_call: Invocation, path: object = ABSENT, *_: object) -> object:
    """Return a path without its last part."""
    text = _path(path)
    slash = text.rstrip("/").rfind("/")
    if slash > 0:
        return "//" if slash == 1 and text[0] == "/" else text[:slash]
    return "/" if text.startswith("/") else "."


def extname(_call: Invocation, path: object = ABSENT, *_: object) -> object:
    """Return the ending of a path, with its dot."""
    return _ending(_base(_path(path)))


def stem(_call: Invocation, path: object = ABSENT, *_: object) -> object:
    """Return the last part of a path without its ending."""
    base = _base(_path(path))
    return base.removesuffix(_ending(base))


def segments(
    call: Invocation,
    path: object = ABSENT,
    start: object = ABSENT,
    end: object = ABSENT,
    *_: object,
) -> object:
    """Return some parts of a path: from the index `start` up to `end`."""
    text = _path(path)
    call.charge(len(text) // 32)
    parts = _SLASHES.split(text)
    return "/".join(cut(parts, start, UNDEFINED if start is ABSENT else end))


def relative(
    call: Invocation, start: object = ABSENT, target: object = ABSENT, *_: object
) -> object:
    """Return the way from one path to another; a `start` with an ending stands for its folder."""
    origin, goal = _path(start), _path(target)
    call.charge((len(origin) + len(goal)) // 32)
    here, there = _parts(origin), _parts(goal)
    if _ending(_base(origin)) and here:
        here = here[:-1]
    shared = 0
    while shared < min(len(here), len(there)) and here[shared] == there[shared]:
        shared += 1
    return "/".join([".."] * (len(here) - shared) + there[shared:]) or "."


def _parts(path: str) -> list[str]:
    found: list[str] = []
    for part in path.split("/"):
        if part == ".." and found and found[-1] != "..":
            found.pop()
        elif part not in ("", "."):
            found.append(part)
    return found


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
        "relative": relative,
    }
)
