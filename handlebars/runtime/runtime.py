"""What a render carries along: its budget, the scope of a body, and how a body is entered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import sleep, thread_time
from types import MappingProxyType
from typing import TypeAlias

from carillon.handlebars.errors import (
    OutputTooLarge,
    RenderError,
    TakesLong,
    TooManySteps,
    TooMuchTime,
)
from carillon.handlebars.limits import Limits
from carillon.handlebars.runtime.numbers import date_text, number_text
from carillon.handlebars.runtime.values import (
    UNDEFINED,
    index_of,
    plain_text,
    same_place,
    utf16_length,
    utf16_unit,
)

#: Steps between two looks at the clock: some milliseconds at most.
PORTION = 1000
#: Seconds in which others may take the interpreter, after each portion.
_LET_OTHERS = 0.0001
#: Characters of a text that a short render may make at once.
LONGEST_SHORT = 65_536
#: A text up to this length is charged with the body around it; a longer one at once.
LONG_TEXT = 256
_MAX_LIST_DEPTH = 100
_SCAN_PER_STEP = 1024

Depths: TypeAlias = "tuple[object, Depths] | None"
Params: TypeAlias = "tuple[tuple[object, ...] | None, Params] | None"


_NO_PARTIALS: Mapping[str, Inline] = MappingProxyType({})


class Run:
    """One render: what is left of its budget, and the inline partials in reach.

    The budget is given out in portions, and the clock is checked between them. A `short` render has
    only one portion.
    """

    __slots__ = (
        "_later",
        "_until",
        "limits",
        "null",
        "partial_depth",
        "partials",
        "room",
        "short",
        "source",
        "steps",
    )

    def __init__(self, source: str, limits: Limits, *, short: bool = False) -> None:
        self.source = source
        self.limits = limits
        self.short = short
        self.steps = limits.steps if limits.steps < PORTION else PORTION
        self._later = limits.steps - self.steps
        self._until = 0.0
        self.room = limits.output_bytes
        self.partials = _NO_PARTIALS
        self.partial_depth = 0
        #: What `this` is to a helper where the context is null; known by its identity.
        self.null: dict[str, object] = {}

    def charge(self, steps: int, at: int) -> None:
        """Take `steps` from the budget."""
        self.steps -= steps
        if self.steps < 0:
            self.out_of_steps(at)

    def out_of_steps(self, at: int) -> None:
        """Go on with the next portion of the budget.

        Raises:
            TooManySteps: there is none.
            TooMuchTime: the time is over.
            TakesLong: the render was to be short.
        """
        if self.steps + self._later < 0:
            limit = f"{self.limits.steps:,}"
            message = f"this template takes more than {limit} steps with this context"
            raise TooManySteps(message, self.source, at)
        if self.short:
            raise TakesLong("this template takes long with this context", self.source, at)
        portion = min(max(PORTION, -self.steps), self._later)
        self._later -= portion
        self.steps += portion
        now = thread_time()
        if not self._until:  # the first portion took next to nothing
            self._until = now + self.limits.milliseconds / 1000
        elif now > self._until:
            limit = f"{self.limits.milliseconds:,}"
            message = f"this template takes longer than {limit} ms with this context"
            raise TooMuchTime(message, self.source, at)
        # A thread that gives the interpreter back and takes it again with each call of RE2 wins it
        # from whoever waits for it, again and again.
        sleep(_LET_OTHERS)

    def grow(self, text: str, at: int) -> str:
        """Count a long text at once, for a body counts the short ones only at its end."""
        size = len(text)
        if size > LONGEST_SHORT:
            self.check_long(size, at)
        self.room -= size
        if self.room < 0:
            self.out_of_room(at)
        return text

    def check_long(self, size: int, at: int) -> None:
        """See that a long text is in order. Raises TakesLong or OutputTooLarge."""
        if size > self.room:
            self.out_of_room(at)
        if self.short:
            raise TakesLong("this template makes a long text", self.source, at)

    def out_of_room(self, at: int) -> None:
        """Raise OutputTooLarge."""
        limit = f"{self.limits.output_bytes:,}"
        message = f"this template makes more than {limit} bytes of text with this context"
        raise OutputTooLarge(message, self.source, at)

    def member(self, value: object, name: str, at: int) -> object:
        """Look `name` up in anything: keys of objects, indexes and length of lists and texts."""
        if isinstance(value, dict):
            return value.get(name, UNDEFINED)
        if isinstance(value, list):
            if name == "length":
                return len(value)
            index = index_of(name, len(value))
            return UNDEFINED if index < 0 else value[index]
        if isinstance(value, str):
            return self._text_member(value, name, at)
        return value if value is None else UNDEFINED

    def _text_member(self, text: str, name: str, at: int) -> object:
        # Units are counted by encoding, so a long text costs more than a look-up.
        self.charge(len(text) // _SCAN_PER_STEP, at)
        if name == "length":
            return utf16_length(text)
        index = index_of(name, 2 * len(text))
        return UNDEFINED if index < 0 else utf16_unit(text, index)

    def text(self, value: object, at: int) -> str:
        """Give the text that a tag shows for `value`: null and undefined show nothing."""
        if isinstance(value, list):
            return self._list_text(value, at, 0)
        if isinstance(value, datetime):
            return date_text(value)
        text = plain_text(value)
        return self.grow(text, at) if len(text) > LONG_TEXT else text

    def key(self, value: object, at: int) -> str:
        """Give the text of `value` as the name of a member: undefined is called `undefined`."""
        if isinstance(value, str):
            return value
        if value is None or value is UNDEFINED:
            return "null" if value is None else "undefined"
        return self.text(value, at)

    def _list_text(self, items: list[object], at: int, depth: int) -> str:
        self.charge(len(items), at)
        if depth > _MAX_LIST_DEPTH:
            message = f"a list is nested more than {_MAX_LIST_DEPTH} deep"
            raise RenderError(message, self.source, at)
        texts = [
            number_text(item)
            if isinstance(item, int | float)
            else self._list_text(item, at, depth + 1)
            if isinstance(item, list)
            else self.text(item, at)
            for item in items
        ]
        return self.grow(",".join(texts), at) if depth == 0 else ",".join(texts)


class Scope:
    """Where a body runs: its context, those around it, `@` data and block parameters.

    `depths` is the list behind `../`, the innermost first; `params` has one entry for each body
    around, the innermost first, None where it got no block parameters.
    """

    __slots__ = ("data", "depths", "params", "run", "this")

    def __init__(
        self, this: object, depths: Depths, data: dict[str, object], params: Params, run: Run
    ) -> None:
        self.this = this
        self.depths = depths
        self.data = data
        self.params = params
        self.run = run


Emit: TypeAlias = Callable[[Scope], str]
Evaluate: TypeAlias = Callable[[Scope], object]


@dataclass(frozen=True, slots=True)
class Body:
    """A compiled body: writes its text, and defines inline partials first."""

    emit: Emit
    inlines: tuple[tuple[Evaluate, Body], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Inline:
    """An inline partial, or the block of a partial call, with the scope it was defined in."""

    body: Body
    scope: Scope


@dataclass(frozen=True, slots=True)
class PartialBody(Inline):
    """The block of a partial call, with the one that `@partial-block` means inside of it."""

    around: object


def deeper(this: object, depths: Depths, run: Run) -> Depths:
    """Put `this` before the contexts around it, unless it is the one just around."""
    if depths is not None:
        around = depths[0]
        if same_place(this, around) or (this is run.null and around is None):
            return depths
    return (this, depths)


def enter(
    body: Body,
    scope: Scope,
    this: object,
    data: dict[str, object],
    params: tuple[object, ...] | None = None,
) -> str:
    """Run a body that was compiled inside of `scope` with `this` as its context."""
    run = scope.run
    inner = Scope(this, deeper(this, scope.depths, run), data, (params, scope.params), run)
    return define_and_emit(body, scope, inner) if body.inlines else body.emit(inner)


def define_and_emit(body: Body, scope: Scope, inner: Scope) -> str:
    """Run a body with its inline partials, which see the scope around it and not its own."""
    run = scope.run
    before = run.partials
    defined = dict(before)
    for name, inline in body.inlines:
        defined[run.key(name(scope), inline.at)] = Inline(inline, scope)
    run.partials = defined
    try:
        return body.emit(inner)
    finally:
        run.partials = before
