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

from carillon.handlebars.errors import HelperFailed, TemplateError, UnknownHelper
from carillon.handlebars.helpers.misc import LEFT_OUT
from carillon.handlebars.runtime.paths import BlockParams
from carillon.handlebars.runtime.registry import Helper, Invocation, Site
from carillon.handlebars.runtime.runtime import LONG_TEXT, Evaluate, Run, Scope
from carillon.handlebars.runtime.values import UNDEFINED, is_nothing, is_true, plain_text
from carillon.handlebars.syntax.nodes import Call, Literal, Path, SubExpression, nearest, short

#: Names that are helpers by grammar: `{{if}}` is a call even with no argument.
KNOWN = frozenset(
    {"helperMissing", "blockHelperMissing", "each", "if", "unless", "with", "log", "lookup"}
)
#: Helpers that show their bodies as they are, once or many times, or nothing but a yes or no.
#: What any other writes as a block is a value, or made of its body.
_SHOWING = frozenset(
    {
        "if", "unless", "each", "with",
        "eq", "is", "isnt", "gt", "gte", "lt", "lte", "compare", "and", "or", "not",
        "neither", "contains", "has",
        "isTruthy", "isFalsey", "unlessEq", "unlessGt", "unlessLt", "unlessGteq", "unlessLteq",
        "ifEven", "ifOdd", "ifNth", "isEmpty", "startsWith", "equalsLength", "lengthEqual",
        "inArray",
        "filter", "some", "forEach", "forIn", "forOwn", "iterate", "eachIndex",
        "withAfter", "withBefore", "withFirst", "withGroup", "withLast", "withSort",
        "frame", "get", "noop", "pick", "withHash",
    }
)  # fmt: skip
_GET_PARAMS = 2
_NO_HASH: Mapping[str, object] = MappingProxyType({})
_TWO = 2
#: A helper costs a step for so many characters it is given, and for so many that it makes.
_READ_PER_STEP, _MADE_PER_STEP = 256, 128
#: Characters that a helper may be given: it may take them in one call, which nothing interrupts.
_MOST_GIVEN = 262_144
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


def makes_text(call: Call, block_params: BlockParams, helpers: Mapping[str, Helper]) -> bool:
    """Is a block a helper's that shows something else than its bodies?"""
    if meaning(call, block_params, definite=False) is Meaning.FIELD:
        return False
    name = helper_name(callee_path(call))
    if name == "get" and len(call.params) > _GET_PARAMS:
        return True  # with more it gives the value and leaves its bodies alone
    return name in helpers and name not in _SHOWING


def helper_call(helper: Helper, params: tuple[Evaluate, ...], hashed: Hash, site: Site) -> Evaluate:
    """Make the call of a helper that exists."""
    # Most calls have one argument or two and nothing else: those are made as short as can be.
    if len(params) == 1 and not hashed:
        return _call_with_one(helper, params[0], site)
    if len(params) == _TWO and not hashed:
        return _call_with_two(helper, params[0], params[1], site)
    with_hash = _hashed(hashed) if hashed else None

    def call(scope: Scope) -> object:
        hash_ = with_hash(scope) if with_hash else _NO_HASH
        values = [param(scope) for param in params]
        _weigh(scope.run, site.at, *values)
        try:
            value = helper(Invocation(site, hash_, scope), *values)
        except (TemplateError, RecursionError):
            raise
        except Exception as error:
            raise _failure(error, site, scope) from error
        return _weighed(value, scope, site) if isinstance(value, str) else value

    return call


def _call_with_one(helper: Helper, first: Evaluate, site: Site) -> Evaluate:
    def call(
        scope: Scope, helper: Helper = helper, first: Evaluate = first, site: Site = site
    ) -> object:
        one = first(scope)
        if type(one) is str and len(one) > LONG_TEXT:
            _weigh(scope.run, site.at, one)
        try:
            value = helper(Invocation(site, _NO_HASH, scope), one)
        except (TemplateError, RecursionError):
            raise
        except Exception as error:
            raise _failure(error, site, scope) from error
        if isinstance(value, str) and len(value) > LONG_TEXT:
            _weighed(value, scope, site)
        return value

    return call


def _call_with_two(helper: Helper, first: Evaluate, second: Evaluate, site: Site) -> Evaluate:
    def call(
        scope: Scope,
        helper: Helper = helper,
        first: Evaluate = first,
        second: Evaluate = second,
        site: Site = site,
    ) -> object:
        one, two = first(scope), second(scope)
        if type(one) is str or type(two) is str:
            _weigh(scope.run, site.at, one, two)
        try:
            value = helper(Invocation(site, _NO_HASH, scope), one, two)
        except (TemplateError, RecursionError):
            raise
        except Exception as error:
            raise _failure(error, site, scope) from error
        if isinstance(value, str) and len(value) > LONG_TEXT:
            _weighed(value, scope, site)
        return value

    return call


def _weigh(run: Run, at: int, *values: object) -> None:
    """Take the steps for what a helper is given to read."""
    for value in values:
        if type(value) is str and len(value) > LONG_TEXT:
            if len(value) > _MOST_GIVEN:
                message = f"a helper is given a text of more than {_MOST_GIVEN:,} characters"
                raise HelperFailed(message, run.source, at)
            run.charge(len(value) // _READ_PER_STEP, at)


def _weighed(value: str, scope: Scope, site: Site) -> str:
    """Take the steps for the text that a helper has made."""
    if len(value) > LONG_TEXT:
        scope.run.charge(len(value) // _MADE_PER_STEP, site.at)
    return value


def _failure(error: Exception, site: Site, scope: Scope) -> HelperFailed:
    """Say that a helper failed, and why."""
    reason = str(error) or "it can't work with what it is given"
    message = f"the helper `{short(site.name)}` failed: {reason}"
    return HelperFailed(message, scope.run.source, site.at)


def unknown_helper(
    path: Path, call: Call, value: Evaluate, helpers: Mapping[str, Helper]
) -> Evaluate:
    """Make the call of a helper that is not registered.

    With arguments that is an error; with none, or `key=value` alone, a field that is false,
    missing or empty passes for a helper that gave nothing.
    """
    name, at, has_params = path.original, call.at, bool(call.params)
    if name in LEFT_OUT:
        return lambda scope: _refuse(name, at, scope)

    def missing(scope: Scope) -> object:
        if not has_params and not is_true(value(scope)):
            return UNDEFINED
        raise UnknownHelper(no_helper(name, helpers), scope.run.source, at)

    return missing


def field_or_left_out(path: Path, value: Evaluate) -> Evaluate:
    """Make a bare name that is no helper: its field; a helper that is left out must have one.

    Without this a template of the reference would lose what such a helper shows and say nothing.
    """
    name, at = path.original, path.at
    if name not in LEFT_OUT:
        return value

    def found(scope: Scope) -> object:
        field = value(scope)
        return _refuse(name, at, scope) if is_nothing(field) else field

    return found


def _refuse(name: str, at: int, scope: Scope) -> object:
    raise UnknownHelper(not_offered(name), scope.run.source, at)


def no_helper(name: str, helpers: Mapping[str, Helper]) -> str:
    """Say that there is no helper of a name, and which are near."""
    return f"there is no helper `{short(name)}`{nearest(name, helpers)}"


def not_offered(name: str) -> str:
    """Say that a helper is left out, and why."""
    return f"the helper `{name}` is not offered: {LEFT_OUT[name]}"


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
