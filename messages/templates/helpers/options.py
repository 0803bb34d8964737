"""The options of a helper: its hash arguments over those that it or the context is given."""

from carillon.messages.templates.helpers.arguments import ABSENT
from carillon.messages.templates.registry import Invocation
from carillon.messages.templates.values import UNDEFINED, is_true


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
