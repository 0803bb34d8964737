"""Calls of inline partials: their context, `@partial-block`, indentation, how deep they may go.

A port of `invokePartialWrapper`, `resolvePartial` and `invokePartial` of Handlebars.js 4.7's
`runtime.js`, less what only partials registered from outside need: there are none.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from carillon.handlebars.errors import PartialTooDeep, UnknownPartial
from carillon.handlebars.runtime.runtime import (
    Body,
    Emit,
    Evaluate,
    Inline,
    PartialBody,
    Run,
    Scope,
    enter,
)
from carillon.handlebars.runtime.values import UNDEFINED, is_true, utf16_unit
from carillon.handlebars.syntax.nodes import nearest, short

BLOCK = "@partial-block"
_BLOCK_DATA = "partial-block"


@dataclass(frozen=True, slots=True)
class PartialCall:
    """A partial call as written in a template. `name` is computed if it is a subexpression."""

    name: str | Evaluate
    context: Evaluate
    hash: tuple[tuple[str, Evaluate], ...] | None
    body: Body | None
    indent: str
    at: int


def partial(call: PartialCall) -> Emit:
    """Make `{{> name}}` or `{{#> name}}…{{/name}}`."""

    def emit(scope: Scope) -> str:
        run = scope.run
        room = run.room
        text = _render(call, scope)
        if call.indent:
            # Long indents of many lines are counted before they are made.
            run.room = room - len(text) - len(call.indent) * (text.count("\n") + 1)
            if run.room < 0:
                run.out_of_room(call.at)
            text = _indented(text, call.indent)
        run.room = room - len(text)
        return text

    return emit


def _render(call: PartialCall, scope: Scope) -> str:
    run, data = scope.run, scope.data
    context = call.context(scope)
    if call.hash is not None:
        context = _extended(context, {key: value(scope) for key, value in call.hash})
    found, name = _resolve(call, scope)
    if call.body is not None:
        block = PartialBody(call.body, scope, data.get(_BLOCK_DATA, UNDEFINED))
        data = {**data, "_parent": data, _BLOCK_DATA: block}
        found = found or block
    if found is None:
        raise UnknownPartial(no_partial(name, run.partials), run.source, call.at)
    if isinstance(found, PartialBody):
        data = {**data, "_parent": data, _BLOCK_DATA: found.around}
    return _descend(run, call, found, context, data)


def no_partial(name: str, names: Iterable[str]) -> str:
    """Say that there is no partial of a name, and which are near."""
    return f"there is no partial `{short(name)}`{nearest(name, names)}"


def _descend(
    run: Run, call: PartialCall, found: Inline, context: object, data: dict[str, object]
) -> str:
    run.partial_depth += 1
    if run.partial_depth > run.limits.partial_depth:
        message = f"partials call each other more than {run.limits.partial_depth} deep"
        raise PartialTooDeep(message, run.source, call.at)
    try:
        return enter(found.body, found.scope, context, data)
    finally:
        run.partial_depth -= 1


def _resolve(call: PartialCall, scope: Scope) -> tuple[Inline | None, str]:
    run = scope.run
    if isinstance(call.name, str):
        name = call.name
    else:
        value = call.name(scope)
        name = run.key(value, call.at) if is_true(value) else "undefined"
    found = run.partials.get(name)
    if found is None and call.name == BLOCK:
        block = scope.data.get(_BLOCK_DATA)
        found = block if isinstance(block, Inline) else None
    return found, name


def _extended(context: object, values: dict[str, object]) -> dict[str, object]:
    extended: dict[str, object] = {}
    if isinstance(context, dict):
        extended = context.copy()
    elif isinstance(context, list):
        extended = {str(index): item for index, item in enumerate(context)}
    elif isinstance(context, str):
        units = range(2 * len(context))
        texts = ((str(index), utf16_unit(context, index)) for index in units)
        extended = {key: unit for key, unit in texts if unit is not UNDEFINED}
    # The reference fills a hash from its last pair to its first: the first of two alike stays.
    for key in reversed(values):
        extended[key] = values[key]
    return extended


def _indented(text: str, indent: str) -> str:
    lines = text.split("\n")
    last = len(lines) - 1
    return "\n".join(
        line if not line and index == last else indent + line for index, line in enumerate(lines)
    )
