"""Compiles calls of helpers, and what a name means: a helper, a field, or either.

Ports `classifySexpr` of Handlebars.js 4.7's `compiler/compiler.js` and the invoke opcodes of its
`compiler/javascript-compiler.js`. The helpers are known when a template is compiled, so what the
reference calls ambiguous is settled here and costs a render nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import TypeAlias

from messages.templates.errors import HelperFailed, TemplateError, UnknownHelper
from messages.templates.names import nearest, short
from messages.templates.nodes import Call, Literal, Path, SubExpression
from messages.templates.paths import BlockParams
from messages.templates.registry import Helper, Invocation, Site
from messages.templates.runtime import Evaluate, Scope
from messages.templates.values import UNDEFINED, is_true, plain_text

#: Names that are helpers by grammar: `{{if}}` is a call even with no argument.
KNOWN = frozenset(
    {"helperMissing", "blockHelperMissing", "each", "if", "unless", "with", "log", "lookup"}
)
_NO_HASH: Mapping[str, object] = MappingProxyType({})
_TWO = 2
Hash: TypeAlias = tuple[tuple[str, Evaluate], ...]


class Meaning(Enum):
    """What the callee of a tag or block is."""

    HELPER = auto()
    AMBIGUOUS = auto()
    FIELD = auto()


def callee_path(call: Call) -> Path:
    """Give the callee as a path: `{{12}}` and `{{"a b"}}` name fields."""
    callee = call.callee
    if isinstance(callee, Path):
        return callee
    value = callee.value if isinstance(callee, Literal) else UNDEFINED
    nothing = {None: "null", UNDEFINED: "undefined"}
    name = nothing[value] if value is None or value is UNDEFINED else plain_text(value)
    return Path(call.at, (name,), 0, is_data=False, original=name, scoped=_scoped(name))


def meaning(call: Call, block_params: BlockParams, *, definite: bool) -> Meaning:
    """Tell what the callee is; `definite` if the call stands in parentheses."""
    path = callee_path(call)
    name = path.parts[0] if path.parts else None
    simple = len(path.parts) == 1 and not path.scoped and not path.depth
    if simple and name is not None and block_params.find(name):
        return Meaning.FIELD
    if definite or call.params or call.hash or (simple and name in KNOWN):
        return Meaning.HELPER
    return Meaning.AMBIGUOUS if simple else Meaning.FIELD


def helper_name(path: Path) -> str | None:
    """Give the name under which to look for a helper, or None where no helper can be meant."""
    if path.parts and path.parts[0] in KNOWN:
        return path.parts[0]
    simple = len(path.parts) == 1 and not path.scoped and not path.depth
    return path.original if simple else None


def helper_call(helper: Helper, params: tuple[Evaluate, ...], hashed: Hash, site: Site) -> Evaluate:
    """Make the call of a helper that exists."""
    with_hash = _hashed(hashed) if hashed else None
    first, second = (*params, None, None)[:2]
    exactly_one, exactly_two = len(params) == 1, len(params) == _TWO

    def call(scope: Scope) -> object:
        invocation = Invocation(site, with_hash(scope) if with_hash else _NO_HASH, scope)
        # Most calls have one argument or two, and calling those directly is a good deal faster.
        try:
            if exactly_one and first:
                return helper(invocation, first(scope))
            if exactly_two and first and second:
                return helper(invocation, first(scope), second(scope))
            return helper(invocation, *[param(scope) for param in params])
        except TemplateError:
            raise
        except Exception as error:
            reason = str(error) or type(error).__name__
            message = f"the helper `{short(site.name)}` failed: {reason}"
            raise HelperFailed(message, scope.run.source, site.at) from error

    return call


def unknown_helper(
    path: Path, call: Call, value: Evaluate, helpers: Mapping[str, Helper]
) -> Evaluate:
    """Make the call of a helper that nobody registered.

    With arguments that is an error; with none, or `key=value` alone, a field that is false,
    missing or empty passes for a helper that gave nothing.
    """
    name, at, has_params = path.original, call.at, bool(call.params)

    def missing(scope: Scope) -> object:
        if not has_params and not is_true(value(scope)):
            return UNDEFINED
        message = f"there is no helper `{short(name)}`{nearest(name, helpers)}"
        raise UnknownHelper(message, scope.run.source, at)

    return missing


def _hashed(pairs: Hash) -> Callable[[Scope], dict[str, object]]:
    def hashed(scope: Scope) -> dict[str, object]:
        values = [value(scope) for _, value in pairs]
        # From the last to the first, as the reference does: of two alike the first stays.
        backwards = zip(reversed(pairs), reversed(values), strict=True)
        return {pair[0]: value for pair, value in backwards}

    return hashed


def _scoped(name: str) -> bool:
    return name.startswith(".") or name == "this"


def is_subexpression(callee: object) -> bool:
    """Tell whether a partial's name is computed."""
    return isinstance(callee, SubExpression)
