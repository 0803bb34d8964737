"""Glob patterns as micromatch 3 reads them, on RE2: linear time whatever the pattern.

`*`, `?`, `**`, `[a-z]`, `{a,b}`, `{1..5}`, a leading `!`, and `@(…)`, `?(…)`, `*(…)`, `+(…)`. What
`!(…)` needs can't be had in linear time, and is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import product

from carillon.handlebars.runtime.regular_expressions import linear_search

_RANGE = re.compile(r"(-?\d{1,6})\.\.(-?\d{1,6})")
_MOST_EXPANDED = 200
_LONGEST = 2000
_DEEPEST = 20
_REPEATED = {"@": "", "?": "?", "*": "*", "+": "+"}

Glob = Callable[[str], bool]


def compile_glob(pattern: str, *, dots: bool = False, ignore_case: bool = False) -> Glob:
    """Make a test of paths. With `dots` a wildcard matches a leading dot too.

    Raises:
        ValueError: it is no pattern, or passes a limit.
    """
    if not pattern or len(pattern) > _LONGEST:
        raise ValueError(f"a pattern has 1 to {_LONGEST:,} characters")
    plain = pattern.lstrip("!") if not pattern.startswith("!(") else pattern
    negated = (len(pattern) - len(plain)) % 2 == 1
    expanded = _expand(plain.removeprefix("./"))
    search = linear_search(
        "^(?:" + "|".join(map(_path, expanded)) + ")/?$", ignore_case=ignore_case
    )
    hidden = dots or any(part.startswith(".") for one in expanded for part in one.split("/"))

    def matches(text: str) -> bool:
        text = text.removeprefix("./")
        if text == plain:
            return not negated
        shows = hidden or not any(part.startswith(".") for part in text.split("/"))
        return (bool(text) and shows and search(text)) is not negated

    return matches


def _expand(pattern: str, depth: int = 0) -> list[str]:
    """The patterns that braces stand for."""
    if depth > _DEEPEST:
        raise ValueError("braces are nested too deeply")
    parts: list[list[str]] = [[]]
    for text, inner in _braces(pattern):
        parts.append([text])
        if inner is not None:
            parts.append(_choices(inner, depth))
    found = []
    for chosen in product(*parts[1:]):
        found.append("".join(chosen))
        if len(found) > _MOST_EXPANDED:
            raise ValueError(f"braces stand for more than {_MOST_EXPANDED} patterns")
    return found


def _braces(pattern: str) -> Iterator[tuple[str, str | None]]:
    """Each text with the inside of the braces behind it; those that close nowhere are text."""
    start = position = 0
    while (opening := pattern.find("{", position)) >= 0:
        closing = _closing(pattern, opening, "{}")
        inner = pattern[opening + 1 : closing]
        if closing < 0 or not (_RANGE.fullmatch(inner) or len(_split(inner, ",")) > 1):
            position = opening + 1
            continue
        yield pattern[start:opening], inner
        start = position = closing + 1
    yield pattern[start:], None


def _choices(inner: str, depth: int) -> list[str]:
    if numbers := _RANGE.fullmatch(inner):
        first, last = int(numbers[1]), int(numbers[2])
        if abs(last - first) >= _MOST_EXPANDED:
            raise ValueError(f"a range in braces has at most {_MOST_EXPANDED} numbers")
        step = 1 if last >= first else -1
        return [str(number) for number in range(first, last + step, step)]
    return [one for choice in _split(inner, ",") for one in _expand(choice, depth + 1)]


def _closing(pattern: str, opening: int, pair: str) -> int:
    depth = 0
    for index in range(opening, len(pattern)):
        depth += (pattern[index] == pair[0]) - (pattern[index] == pair[1])
        if depth == 0:
            return index
    return -1


def _split(text: str, separator: str) -> list[str]:
    """The parts between separators that stand in no bracket."""
    parts, depth = [""], 0
    for char in text:
        depth += (char in "{(") - (char in "})")
        if char == separator and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _path(pattern: str) -> str:
    parts = pattern.split("/")
    out = []
    for index, part in enumerate(parts):
        last = index == len(parts) - 1
        if part == "**":
            out.append("[^/]+(?:/[^/]+)*" if last else "(?:[^/]+/)*")
        else:
            out.append(("[^/]+" if part == "*" else _segment(part)) + ("" if last else "/"))
    return "".join(out)


def _segment(part: str, depth: int = 0) -> str:
    out, index = [], 0
    while index < len(part):
        char = part[index]
        if part[index + 1 : index + 2] == "(" and char in "@?*+!":
            text, index = _group(part, index, depth)
        elif char == "[":
            text, index = _class(part, index)
        elif char == "\\" and index + 1 < len(part):
            text, index = re.escape(part[index + 1]), index + 2
        else:
            text, index = {"*": "[^/]*", "?": "[^/]"}.get(char, re.escape(char)), index + 1
        out.append(text)
    return "".join(out)


def _group(part: str, index: int, depth: int) -> tuple[str, int]:
    if part[index] == "!" or depth > _DEEPEST:
        raise ValueError("`!(…)` can't be searched for in linear time, and is not offered")
    closing = _closing(part, index + 1, "()")
    if closing < 0:
        return re.escape(part[index]), index + 1
    choices = [_segment(one, depth + 1) for one in _split(part[index + 2 : closing], "|")]
    return f"(?:{'|'.join(choices)}){_REPEATED[part[index]]}", closing + 1


def _class(part: str, index: int) -> tuple[str, int]:
    closing = part.find("]", index + 2)
    if closing < 0:
        return re.escape("["), index + 1
    inner = part[index + 1 : closing]
    sign = "^" if inner[0] in "!^" else ""
    body = (inner[1:] if sign else inner).replace("\\", "\\\\").replace("[", "\\[")
    return f"[{sign}{body}]", closing + 1
