"""Blocks and types: frame, noop, withHash, option, typeOf."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from carillon.messages.templates.helpers.arguments import ABSENT, kind, refuse
from carillon.messages.templates.helpers.lookups import get
from carillon.messages.templates.helpers.options import own_options
from carillon.messages.templates.registry import Helper, Invocation, ReadsContext


def frame(call: Invocation, context: object = ABSENT, *surplus: object) -> object:
    """Render the block with hash arguments as `@` data."""
    refuse(surplus)
    if context is ABSENT:
        return call.fn(call.this, call.frame(**call.hash))
    if not isinstance(context, dict):
        raise TypeError("it takes an object")
    return call.fn(call.this, {**context, "_parent": context, **call.hash})


def option(call: Invocation, path: object = ABSENT, values: object = ABSENT, *_: object) -> object:
    """Look a path up in hash arguments, or in `options` of the context."""
    return get(call, own_options(call, values), path)


def noop(call: Invocation, *surplus: object) -> object:
    """Render the block."""
    refuse(surplus)
    return call.fn(call.this)


def type_of(_call: Invocation, value: object = ABSENT, *_: object) -> object:
    """Name the type: string, number, boolean, object, array, date, null, undefined."""
    return kind(value)


def with_hash(call: Invocation, *surplus: object) -> object:
    """Render the block with hash arguments as its context."""
    refuse(surplus)
    return call.fn(dict(call.hash)) if call.hash else call.inverse(call.this)


MISC: Mapping[str, Helper] = MappingProxyType(
    {
        "frame": frame,
        "option": ReadsContext(option),
        "noop": noop,
        "typeOf": type_of,
        "withHash": with_hash,
    }
)
