"""The helpers that every template may call, one file a family.

A family is a module with a mapping from names to helpers. A name that occurs twice belongs to the
family named last, as with the reference's registration.
"""

from collections.abc import Mapping

from messages.templates.helpers import builtin
from messages.templates.registry import Helper

_FAMILIES: tuple[Mapping[str, Helper], ...] = (builtin.BUILTIN,)


def all_helpers() -> dict[str, Helper]:
    """Give every helper under its name."""
    return {name: helper for family in _FAMILIES for name, helper in family.items()}
