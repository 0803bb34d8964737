"""Turns values into the text of a tag, counts it, and joins the text of a body."""

from messages.templates.escape import escape, find_unsafe
from messages.templates.nodes import Path
from messages.templates.numbers import number_text
from messages.templates.runtime import LONG_TEXT, Emit, Evaluate, Scope
from messages.templates.values import UNDEFINED, SafeText


def escaped(evaluate: Evaluate, at: int) -> Emit:
    """Make `{{x}}`: the text of the value with HTML's special characters escaped."""

    def emit(scope: Scope) -> str:
        value = evaluate(scope)
        if type(value) is str:
            if len(value) > LONG_TEXT:
                return scope.run.grow(escape(value), at)
            return value if find_unsafe(value) is None else escape(value)
        if type(value) is int:
            return number_text(value)
        return _other(value, scope, at, escaping=True)

    return emit


def bare(evaluate: Evaluate, at: int) -> Emit:
    """Make `{{{x}}}`: the text of the value."""

    def emit(scope: Scope) -> str:
        value = evaluate(scope)
        if type(value) is str:
            return scope.run.grow(value, at) if len(value) > LONG_TEXT else value
        return _other(value, scope, at, escaping=False)

    return emit


def escaped_field(path: Path) -> Emit:
    """Make `{{name}}` and `{{user.name}}` in one function: what templates are mostly made of."""
    first, second, at = path.parts[0], path.parts[-1], path.at
    single = len(path.parts) == 1

    def emit(scope: Scope) -> str:
        value = scope.this
        value = value.get(first, UNDEFINED) if isinstance(value, dict) else _member(scope, first)
        if not single:
            if isinstance(value, dict):
                value = value.get(second, UNDEFINED)
            else:
                value = scope.run.member(value, second, at)
        if type(value) is str:
            if len(value) > LONG_TEXT:
                return scope.run.grow(escape(value), at)
            return value if find_unsafe(value) is None else escape(value)
        if type(value) is int:
            return number_text(value)
        return _other(value, scope, at, escaping=True)

    return emit


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
    texts, dynamic = _split(parts)
    if not dynamic:
        return _constant("".join(texts), cost, at)

    def emit(scope: Scope) -> str:
        run = scope.run
        run.steps -= cost
        if run.steps < 0:
            run.out_of_steps(at)
        room = run.room
        out = texts.copy()
        for index, part in dynamic:
            out[index] = part(scope)
        text = "".join(out)
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


def _split(parts: list[str | Emit]) -> tuple[list[str], tuple[tuple[int, Emit], ...]]:
    texts: list[str] = []
    dynamic: list[tuple[int, Emit]] = []
    after_text = False
    for part in parts:
        if not isinstance(part, str):
            dynamic.append((len(texts), part))
            texts.append("")
        elif after_text:
            texts[-1] += part
        else:
            texts.append(part)
        after_text = isinstance(part, str)
    return texts, tuple(dynamic)


def _member(scope: Scope, name: str) -> object:
    return scope.run.member(scope.this, name, 0)


def _other(value: object, scope: Scope, at: int, *, escaping: bool) -> str:
    if value is UNDEFINED or value is None:
        return ""
    if isinstance(value, int | float):
        return number_text(value)
    text = scope.run.text(value, at)
    return escape(text) if escaping and not isinstance(value, SafeText) else text
