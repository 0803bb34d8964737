"""The block helpers of Handlebars.js as compiled control flow: if, unless, each, with, sections.

Ports of `lib/handlebars/helpers/{if,each,with,block-helper-missing}.js`. They do what the same
helper would do with an Invocation, without making one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from carillon.handlebars.runtime.runtime import (
    Body,
    Emit,
    Evaluate,
    Scope,
    deeper,
    define_and_emit,
    enter,
)
from carillon.handlebars.runtime.values import (
    UNDEFINED,
    is_empty,
    is_nothing,
    is_shown,
    is_true,
    keys,
)


@dataclass(frozen=True, slots=True)
class Bodies:
    """What a block shows, and what follows its `{{else}}`; either may be missing."""

    program: Body | None
    inverse: Body | None
    #: Does the template use block parameters anywhere? Then each body needs a scope of its own.
    tracked: bool


def show(body: Body | None, scope: Scope, *, tracked: bool) -> str:
    """Run a body with the context of the place it stands in."""
    if body is None:
        return ""
    this = scope.this
    if tracked or body.inlines or this is None or this is UNDEFINED:
        return enter(body, scope, scope.run.null if is_nothing(this) else this, scope.data)
    return body.emit(scope)


def conditional(condition: Evaluate, bodies: Bodies) -> Emit:
    """Make `{{#if condition}}`, or with the bodies swapped `{{#unless condition}}`."""
    yes, no, tracked = bodies.program, bodies.inverse, bodies.tracked

    def emit(scope: Scope) -> str:
        value = condition(scope)
        shown = value if value is True or value is False else is_shown(value)
        chosen = yes if shown else no
        return "" if chosen is None else show(chosen, scope, tracked=tracked)

    return emit


def conditional_zero(condition: Evaluate, include_zero: Evaluate, bodies: Bodies) -> Emit:
    """Make `{{#if condition includeZero=…}}`: then 0 counts as something."""

    def emit(scope: Scope) -> str:
        value = condition(scope)
        hidden = is_empty(value) or (not is_true(include_zero(scope)) and not is_true(value))
        body = bodies.inverse if hidden else bodies.program
        return show(body, scope, tracked=bodies.tracked)

    return emit


def after(unused: list[Evaluate], block: Emit) -> Emit:
    """Make a block that evaluates `unused` first."""

    def emit(scope: Scope) -> str:
        for evaluate in unused:
            evaluate(scope)
        return block(scope)

    return emit


def scoped(subject: Evaluate, bodies: Bodies) -> Emit:
    """Make `{{#with subject}}`."""

    def emit(scope: Scope) -> str:
        value = subject(scope)
        if is_empty(value):
            return show(bodies.inverse, scope, tracked=bodies.tracked)
        if bodies.program is None:
            return ""
        return enter(bodies.program, scope, value, scope.data, (value,))

    return emit


def loop(subject: Evaluate, bodies: Bodies) -> Emit:
    """Make `{{#each subject}}`."""

    def emit(scope: Scope) -> str:
        value = subject(scope)
        if value and isinstance(value, list | dict):
            return _iterate(value, scope, bodies.program)
        return show(bodies.inverse, scope, tracked=bodies.tracked)

    return emit


def section(subject: Evaluate, bodies: Bodies) -> Emit:
    """Make `{{#subject}}` where no helper has that name: if, each or with, by the value's type."""

    def emit(scope: Scope) -> str:
        value = subject(scope)
        if value is True:
            return show(bodies.program, scope, tracked=bodies.tracked)
        if value is False or is_nothing(value) or value == []:
            return show(bodies.inverse, scope, tracked=bodies.tracked)
        if isinstance(value, list):
            return _iterate(value, scope, bodies.program)
        if bodies.program is None:
            return ""
        return enter(bodies.program, scope, value, scope.data)

    return emit


def _iterate(value: list[object] | dict[str, object], scope: Scope, body: Body | None) -> str:
    if body is None:
        return ""
    # A scope for each item takes as long as the body that is shown in it, mostly.
    scope.run.charge(len(value), body.at)
    if isinstance(value, list):
        return "".join(_items(range(len(value)), list(value), scope, body))
    names = list(keys(value))
    return "".join(_items(names, [value[name] for name in names], scope, body))


def _items(names: Sequence[int | str], items: list[object], scope: Scope, body: Body) -> list[str]:
    run, around, params = scope.run, scope.depths, scope.params
    last = len(items) - 1
    # One frame for all items, as in the reference, which changes it from item to item.
    frame: dict[str, object] = {**scope.data, "_parent": scope.data, "first": True, "last": False}
    emit, texts = body.emit, list[str]()
    outer = around[0] if around else None
    in_object = isinstance(outer, dict)
    for index, item in enumerate(items):
        name = names[index]
        frame["key"] = name
        frame["index"] = index
        if index == 1:
            frame["first"] = False
        if index == last:
            frame["last"] = True
        # Nothing but a text can be `==` an object that it is not.
        other = in_object and item is not outer and not isinstance(item, str)
        depths = (item, around) if other else deeper(item, around, run)
        inner = Scope(item, depths, frame, ((item, name), params), run)
        texts.append(define_and_emit(body, scope, inner) if body.inlines else emit(inner))
    return texts
