"""Turns values into the text of a tag, counts it, and joins the text of a body."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from carillon.handlebars.runtime.numbers import number_text
from carillon.handlebars.runtime.runtime import LONG_TEXT, Emit, Evaluate, Scope
from carillon.handlebars.runtime.values import UNDEFINED, SafeText
from carillon.handlebars.syntax.nodes import Path

Escaping = Literal["html", "json", "none"]
"""What `{{…}}` escapes: HTML's seven characters, those of a JSON string, or nothing."""

_UNSAFE_IN_HTML = re.compile("[&<>\"'`=]")
_UNSAFE_IN_JSON = re.compile(r'["\\\x00-\x1f]')


Find: TypeAlias = Callable[[str], object]
Escape: TypeAlias = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Escaper:
    """How to escape. `find_unsafe` gives None for what needs none, which most texts do.

    What a helper marks as safe is safe where a text `trusts` it.
    """

    find_unsafe: Find
    escape: Escape
    trusts: bool


def _escape_html(text: str) -> str:
    # Replacing one by one beats a callback for each hit; & must come first.
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    text = text.replace("=", "&#x3D;").replace('"', "&quot;")
    return text.replace("'", "&#x27;").replace("`", "&#x60;")


def _escape_json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]


_HTML = Escaper(_UNSAFE_IN_HTML.search, _escape_html, trusts=True)
_JSON = Escaper(_UNSAFE_IN_JSON.search, _escape_json, trusts=False)


def escaper(escaping: Escaping) -> Escaper | None:
    """How `{{…}}` is escaped; None where it is not."""
    return {"html": _HTML, "json": _JSON, "none": None}[escaping]


_TWO = 2
#: Characters that are escaped in one call, which takes a millisecond.
_PIECE = 65_536


def escaped(evaluate: Evaluate, at: int, escaper: Escaper) -> Emit:
    """Make `{{x}}`: the text of the value with the special characters of its place escaped."""

    def emit(
        scope: Scope,
        evaluate: Evaluate = evaluate,
        at: int = at,
        escaper: Escaper = escaper,
        find_unsafe: Find = escaper.find_unsafe,
        escape: Escape = escaper.escape,
    ) -> str:
        value = evaluate(scope)
        if type(value) is str and len(value) <= LONG_TEXT:
            return value if find_unsafe(value) is None else escape(value)
        return _escaped(value, scope, at, escaper)

    return emit


def bare(evaluate: Evaluate, at: int) -> Emit:
    """Make `{{{x}}}`: the text of the value."""

    def emit(scope: Scope, evaluate: Evaluate = evaluate, at: int = at) -> str:
        value = evaluate(scope)
        if type(value) is str:
            return scope.run.grow(value, at) if len(value) > LONG_TEXT else value
        return _other(value, scope, at, None)

    return emit


def escaped_field(path: Path, escaper: Escaper) -> Emit:
    """Make `{{name}}` and `{{user.name}}` in one function: what templates are mostly made of."""
    if len(path.parts) == 1:

        def emit(
            scope: Scope,
            first: str = path.parts[0],
            at: int = path.at,
            escaper: Escaper = escaper,
            find_unsafe: Find = escaper.find_unsafe,
            escape: Escape = escaper.escape,
        ) -> str:
            value = scope.this
            value = value.get(first, UNDEFINED) if type(value) is dict else _member(scope, first)
            if type(value) is str and len(value) <= LONG_TEXT:
                return value if find_unsafe(value) is None else escape(value)
            return _escaped(value, scope, at, escaper)

        return emit

    def emit_inner(
        scope: Scope,
        first: str = path.parts[0],
        second: str = path.parts[-1],
        at: int = path.at,
        escaper: Escaper = escaper,
        find_unsafe: Find = escaper.find_unsafe,
        escape: Escape = escaper.escape,
    ) -> str:
        value = scope.this
        value = value.get(first, UNDEFINED) if type(value) is dict else _member(scope, first)
        if type(value) is dict:
            value = value.get(second, UNDEFINED)
        else:
            value = scope.run.member(value, second, at)
        if type(value) is str and len(value) <= LONG_TEXT:
            return value if find_unsafe(value) is None else escape(value)
        return _escaped(value, scope, at, escaper)

    return emit_inner


def settled(evaluate: Evaluate, at: int) -> Emit:
    """Make the text of a block helper, whose bodies have been counted already."""

    def emit(scope: Scope) -> str:
        run = scope.run
        room = run.room
        value = evaluate(scope)
        text = value if isinstance(value, str) else run.text(value, at)
        run.room = room - len(text)
        if run.room < 0:
            run.out_of_room(at)
        return text

    return emit


def joined(parts: list[str | Emit], cost: int, at: int) -> Emit:
    """Make a body of its parts; each run costs it `cost` steps and the length of its text.

    The parts have counted long texts and inner bodies by themselves; the room that is left is set
    from where it stood before, so that nothing counts twice.
    """
    texts, emits = _alternating(parts)
    if not emits:
        return _constant(texts[0], cost, at)
    if len(emits) == 1:
        return _around_one(texts, emits[0], cost, at)
    if len(emits) == _TWO:
        return _around_two(texts, emits, cost, at)

    def emit(scope: Scope) -> str:
        run = scope.run
        run.steps -= cost
        if run.steps < 0:
            run.out_of_steps(at)
        room = run.room
        out = texts.copy()
        index = 1
        for part in emits:
            out[index] = part(scope)
            index += 2
        text = "".join(out)
        run.room = room = room - len(text)
        if room < 0:
            run.out_of_room(at)
        return text

    return emit


def _around_one(texts: list[str], inner: Emit, cost: int, at: int) -> Emit:
    before, _, after = texts

    def emit(scope: Scope) -> str:
        run = scope.run
        run.steps -= cost
        if run.steps < 0:
            run.out_of_steps(at)
        room = run.room
        text = before + inner(scope) + after
        run.room = room = room - len(text)
        if room < 0:
            run.out_of_room(at)
        return text

    return emit


def _around_two(texts: list[str], inner: tuple[Emit, ...], cost: int, at: int) -> Emit:
    before, _, between, _, after = texts
    first, second = inner

    def emit(scope: Scope) -> str:
        run = scope.run
        run.steps -= cost
        if run.steps < 0:
            run.out_of_steps(at)
        room = run.room
        text = f"{before}{first(scope)}{between}{second(scope)}{after}"
        run.room = room = room - len(text)
        if room < 0:
            run.out_of_room(at)
        return text

    return emit


def _constant(text: str, cost: int, at: int) -> Emit:
    size = len(text)

    def emit(scope: Scope) -> str:
        run = scope.run
        run.steps -= cost
        if run.steps < 0:
            run.out_of_steps(at)
        run.room -= size
        if run.room < 0:
            run.out_of_room(at)
        return text

    return emit


def _alternating(parts: list[str | Emit]) -> tuple[list[str], tuple[Emit, ...]]:
    """Give the texts with a gap after each but the last, and what makes the text of the gaps."""
    texts: list[str] = [""]
    emits: list[Emit] = []
    for part in parts:
        if isinstance(part, str):
            texts[-1] += part
        else:
            emits.append(part)
            texts += ["", ""]
    return texts, tuple(emits)


def _member(scope: Scope, name: str) -> object:
    return scope.run.member(scope.this, name, 0)


def _escaped(value: object, scope: Scope, at: int, escaper: Escaper) -> str:
    if type(value) is int or type(value) is float:
        return number_text(value)
    if type(value) is str:
        return scope.run.grow(_all_escaped(value, scope, at, escaper), at)
    return _other(value, scope, at, escaper)


def _all_escaped(text: str, scope: Scope, at: int, escaper: Escaper) -> str:
    """Escape a text piece by piece: what is too long is noticed before it is there."""
    if len(text) <= _PIECE:
        return escaper.escape(text)
    run, pieces = scope.run, list[str]()
    run.check_long(len(text), at)
    size = 0
    for start in range(0, len(text), _PIECE):
        pieces.append(escaper.escape(text[start : start + _PIECE]))
        size += len(pieces[-1])
        run.check_long(size, at)
    return "".join(pieces)


def _other(value: object, scope: Scope, at: int, escaper: Escaper | None) -> str:
    if value is UNDEFINED or value is None:
        return ""
    if isinstance(value, int | float):
        return number_text(value)
    text = scope.run.text(value, at)
    if escaper is None or (escaper.trusts and isinstance(value, SafeText)):
        return text
    return _all_escaped(text, scope, at, escaper)
