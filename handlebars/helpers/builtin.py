"""The helpers that Handlebars.js itself registers: if, unless, each, with, lookup, log.

`lookup` and `log` are helpers like any other. The others are compiled to control flow (see
control.py) when they are a block with one argument; any other call can only fail, and the functions
here are that failure.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NoReturn

from carillon.handlebars.runtime.registry import Helper, Invocation
from carillon.handlebars.runtime.values import UNDEFINED, is_true

_LOOKUP_PARAMS = 2


def lookup(call: Invocation, *params: object) -> object:
    """Look a computed name up: `{{lookup prices @key}}`. A false first argument comes back."""
    if params and not is_true(params[0]):
        return params[0]
    if len(params) != _LOOKUP_PARAMS:
        message = f"it takes an object and a name, not {len(params)} arguments"
        raise TypeError(message)
    return call.member(params[0], call.key(params[1]))


def log(_call: Invocation, *_params: object) -> object:
    """Write nothing: a message has no console."""
    return UNDEFINED


def _block_only(call: Invocation, *params: object) -> NoReturn:
    if len(params) != 1:
        message = f"it takes exactly one argument, not {len(params)}"
        raise TypeError(message)
    message = f"it is a block: `{{{{#{call.name} …}}}}…{{{{/{call.name}}}}}`"
    raise TypeError(message)


def _missing(_call: Invocation, *_params: object) -> NoReturn:
    message = "templates can't call it themselves"
    raise TypeError(message)


BUILTIN: Mapping[str, Helper] = MappingProxyType(
    {
        "if": _block_only,
        "unless": _block_only,
        "each": _block_only,
        "with": _block_only,
        "lookup": lookup,
        "log": log,
        "helperMissing": _missing,
        "blockHelperMissing": _missing,
    }
)
