"""Whether the output of a command is what the page shows of it.

Shown is what one run gave: ids, keys, times and durations are those of that run. `…` stands for
what the page leaves out, alone on a line for any lines. Of the head of an answer, which `curl -i`
prints, the page shows some fields. White space between columns, and that of JSON, is free.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

ID: Final = r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b|\b[\w-]{43}\b"
"""A UUID, or the secret part of a key."""

_VARIES: Final[Mapping[str, str]] = {
    ID: r"([\w-]{36}|[\w-]{43})",
    r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z",
    r"\d{4}-\d\d-\d\d": r"\d{4}-\d\d-\d\d",
    r"\b\d[\d,.]*(?= (?:ms|s|min|h|bytes)\b)": r"\d[\d,.]*",
    r"^…\n": r"(?:.*?\n)??",
    r"…": r".*?",
}
_PARTS: Final = re.compile("|".join(f"({form})" for form in _VARIES), re.MULTILINE)


def ids_in_place(shown: str, came: str) -> Mapping[str, str] | None:
    """The ids that are shown, with what stands in their places; None where the rest differs.

    Where the page shows one id twice the same one has to come twice.
    """
    pairs: dict[str, str] = {}
    for known, real in _places(shown, came):
        if real is None or pairs.setdefault(known, real) != real:
            return None
    return pairs


def _places(shown: str, came: str) -> Iterator[tuple[str, str | None]]:
    """Each shown id with the one in its place; one with None where something is not alike."""
    if not shown.startswith("HTTP/"):
        yield from _matched(shown, came)
        return
    (head, *body), (came_head, *came_body) = _parted(shown), _parted(came)
    for line in head.splitlines():
        yield from _field(line, came_head.splitlines())
    if body:
        yield from _matched(body[0], came_body[0] if came_body else "")


def _parted(answer: str) -> Sequence[str]:
    return answer.replace("\r", "").strip().split("\n\n", 1)


def _field(line: str, fields: Sequence[str]) -> Sequence[tuple[str, str | None]]:
    for field in fields:
        found = [*_matched(line, field)]
        if all(real is not None for _, real in found):
            return found
    return [(line, None)]


def _matched(shown: str, came: str) -> Iterator[tuple[str, str | None]]:
    space = "" if shown.lstrip().startswith(("{", "[")) else " "
    text, whole = _evened(shown, space), _evened(came, space)
    found = re.fullmatch(_pattern(text), whole, re.DOTALL)
    if found is None:
        yield shown, None
        return
    yield from zip(re.findall(ID, text), found.groups(), strict=True)


def _evened(text: str, space: str) -> str:
    lines = (re.sub(r"\s+", space, line.strip()) for line in text.strip().splitlines())
    return ("\n" if space else "").join(lines)


def _pattern(shown: str) -> str:
    forms, last, pattern = [*_VARIES.values()], 0, ""
    for part in _PARTS.finditer(shown):
        assert part.lastindex is not None
        pattern += re.escape(shown[last : part.start()]) + forms[part.lastindex - 1]
        last = part.end()
    return pattern + re.escape(shown[last:])
