"""How helpers read their arguments: missing and odd ones count as they do in JavaScript.

In JavaScript a missing argument is the options object, which is neither null nor false, and a
surplus one is ignored; many templates rely on that. So parameters have ABSENT as their default, and
helpers end with `*_: object`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, TypeVar

from carillon.handlebars.helpers.units import units
from carillon.handlebars.runtime.registry import Invocation
from carillon.handlebars.runtime.values import JS_SPACE, UNDEFINED, is_nothing, is_true, to_number

Item = TypeVar("Item", bound=Sequence[object])


class Absent(dict[str, object]):
    """The type of ABSENT: an empty object that cannot be filled."""

    def update(self, *_: object, **__: object) -> None:
        """Refuse: there is one ABSENT for all."""
        raise TypeError("an argument is missing")


#: An argument that the template does not give.
ABSENT: Final = Absent()


def is_undefined(value: object) -> bool:
    """Return whether an argument is null, undefined or not given."""
    return value is None or value is UNDEFINED or value is ABSENT


def is_text(value: object) -> bool:
    """Return whether `value` is a text that is not empty, which is what most helpers ask for."""
    return isinstance(value, str) and value != ""


def is_number(value: object) -> bool:
    """Return whether `value` is a finite number, or a text that says one (is-number 4)."""
    kind = type(value)
    if kind is float or kind is int:
        return math.isfinite(to_number(value))
    return (
        isinstance(value, str) and bool(value.strip(JS_SPACE)) and math.isfinite(to_number(value))
    )


def whole_number(value: object) -> int:
    """Return ToIntegerOrInfinity, with infinities as numbers beyond every length."""
    number = to_number(value)
    if math.isnan(number):
        return 0
    return int(max(min(number, 2.0**53), -(2.0**53)))


def cut(sequence: Item, start: object = UNDEFINED, end: object = UNDEFINED) -> Item:
    """JavaScript's slice of a list or of a text in units."""
    first = whole_number(start)
    last = len(sequence) if end is UNDEFINED else whole_number(end)
    return sequence[first:last]  # type: ignore[return-value]


def sliceable(value: object) -> list[object] | str:
    """Return what has a `slice`: a list, or a text in units."""
    if isinstance(value, list):
        return value
    if isinstance(value, str):
        return units(value)
    raise TypeError(f"it takes a list or a text, not {kind(value)}")


def listed(value: object) -> list[object]:
    """Return `value`, which must be a list."""
    if not isinstance(value, list):
        raise TypeError(f"it takes a list, not {kind(value)}")
    return value


def elements(value: object) -> Sequence[object]:
    """Return what JavaScript's `for i < value.length` goes over: of anything else, nothing."""
    if is_nothing(value):
        raise TypeError(f"it takes a list, not {kind(value)}")
    if isinstance(value, str):
        return units(value)
    return value if isinstance(value, list) else ()


def answer(
    call: Invocation, value: object, last: object = None, surplus: tuple[object, ...] = ()
) -> object:
    """Return a yes or no as a value, or of a block the body that it chooses.

    `last` is the last argument that the helper needs. Without it, or with a surplus of them, there
    is no block to JavaScript.
    """
    if not call.is_block or last is ABSENT or surplus:
        return value
    return call.fn(call.this) if is_true(value) else call.inverse(call.this)


def refuse(surplus: tuple[object, ...]) -> None:
    """Refuse arguments behind the last that a helper with a block takes.

    To JavaScript the last of them would be the options with the block in them.

    Raises:
        TypeError: there are some.
    """
    if surplus:
        raise TypeError("it takes fewer arguments")


def kind(value: object) -> str:
    """Name the type of a value as kind-of does."""
    if value is UNDEFINED:
        return "undefined"
    if value is None:
        return "null"
    for type_, name in _KINDS:
        if isinstance(value, type_):
            return name
    return str(getattr(value, "kind", "date"))


_KINDS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    (bool, "boolean"),
    (str, "string"),
    ((int, float), "number"),
    (list, "array"),
    (dict, "object"),
)


def own_options(call: Invocation, given: object) -> dict[str, object]:
    """Merge `options` of the context, the object `given`, and the hash arguments, in that order.

    What these have under the helper's own name comes first of all.
    """
    options = dict(given) if isinstance(given, dict) else {}
    options.update(call.hash)
    around = call.member(call.this, "options") if isinstance(call.this, dict) else ABSENT
    if isinstance(around, dict):
        options = {**around, **options}
    own = options.get(call.name, UNDEFINED)
    if is_true(own) and isinstance(own, dict):
        options = {**own, **options}
    return options
