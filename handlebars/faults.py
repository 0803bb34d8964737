"""Faults of a template that do not depend on the values, found without rendering it.

Found are helpers and partials that do not exist, and calls that can only fail: they have too many
or too few arguments, or one that the template spells out (a time zone, a pattern, an operator) is
invalid. A call is tried with values of every type for those that are not known; it is at fault if
all of them give the same error.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import product
from types import MappingProxyType
from typing import Final

from carillon.handlebars.dates.zones import UnknownZone, zone_names
from carillon.handlebars.errors import (
    HelperFailed,
    TemplateError,
    UnknownHelper,
    UnknownPartial,
)
from carillon.handlebars.helpers.builtin import BUILTIN
from carillon.handlebars.helpers.misc import LEFT_OUT
from carillon.handlebars.limits import Limits
from carillon.handlebars.runtime.calls import (
    Meaning,
    callee_path,
    helper_name,
    meaning,
    no_helper,
    not_offered,
)
from carillon.handlebars.runtime.partials import BLOCK, no_partial
from carillon.handlebars.runtime.paths import BlockParams
from carillon.handlebars.runtime.registry import (
    ChangesContext,
    Helper,
    Invocation,
    ReadsContext,
    Site,
)
from carillon.handlebars.runtime.runtime import Body, Run, Scope
from carillon.handlebars.runtime.values import UNDEFINED
from carillon.handlebars.syntax.nodes import (
    Block,
    Call,
    DecoratorBlock,
    Expression,
    Literal,
    Mustache,
    Partial,
    PartialBlock,
    Program,
    Statement,
    SubExpression,
    nearest,
    short,
)

_ISO: Final = "2024-02-29T13:05:09Z"
_LIMITS: Final = Limits(steps=20_000, milliseconds=100)
_MOST_TRIES: Final = 20_000
#: What an argument may be. Lists and objects are created for each call: some helpers change them.
_TYPES: Final[Sequence[Callable[[], object]]] = (
    *(lambda value=value: value for value in (UNDEFINED, None, True, "", "a", _ISO, "12", 3, 0)),
    lambda: 1.5,
    lambda: ["a", "b"],
    lambda: [{"a": 1}],
    list,
    lambda: {"a": 1, "size": {"width": 1, "height": 1}},
    dict,
    lambda: datetime(2024, 2, 29, tzinfo=UTC),
)
#: Helpers that look at their other arguments only if the first is what they are for.
_MEANT_FOR: Final[Mapping[str, Callable[[], object]]] = MappingProxyType(
    {
        "dateFormat": lambda: _ISO,
        "date": lambda: _ISO,
        "moment": lambda: _ISO,
        "toLocale": lambda: 1.5,
        "lookup": lambda: {"a": 1},
        **dict.fromkeys(
            (
                *("eachIndex", "filter", "forEach", "withAfter", "withBefore", "withFirst"),
                *("withGroup", "withLast", "withSort"),
            ),
            lambda: [{"a": 1}],
        ),
    }
)
_BLOCKS_OF_ONE: Final = frozenset({"if", "unless", "each", "with"})
#: Blocks that show their body with the context around them.
_STAYING: Final = frozenset({"if", "unless"})


class _Unknown:
    """The type of a value that only a render knows."""


_UNKNOWN: Final = _Unknown()


def find_faults(
    program: Program, helpers: Mapping[str, Helper], source: str
) -> list[TemplateError]:
    """The faults in the order of their places, each as an error that is not raised."""
    review = _Review(helpers, source, frozenset(_inlines(program)))
    review.program(program)
    return sorted(review.faults, key=lambda fault: (fault.line, fault.column))


def _inlines(program: Program) -> Iterator[str | None]:
    """The names of all inline partials; None for one that is computed."""
    for node in program.body:
        if isinstance(node, DecoratorBlock):
            yield _inline_name(node)
        if isinstance(node, Block):
            for body in (node.program, node.inverse):
                yield from () if body is None else _inlines(body)


def _inline_name(node: DecoratorBlock) -> str | None:
    params = node.call.params
    if params and isinstance(params[0], Literal) and isinstance(params[0].value, str):
        return params[0].value
    return None


class _Review:
    def __init__(
        self, helpers: Mapping[str, Helper], source: str, inlines: frozenset[str | None]
    ) -> None:
        self.faults: list[TemplateError] = []
        self._helpers = helpers
        self._source = source
        self._inlines = inlines
        self._params = BlockParams()
        #: Names of partials in reach; None where it depends on who calls.
        self._reach: frozenset[str | None] | None = frozenset()
        self._at_root = True
        self._in_partial_block = False
        self._tries = 0

    def program(self, program: Program | None, *, at_root: bool | None = None) -> None:
        """Look at a body."""
        if program is None:
            return
        before = self._reach, self._at_root
        if self._reach is not None:
            own = (_inline_name(one) for one in program.body if isinstance(one, DecoratorBlock))
            self._reach = self._reach.union(own)
        self._at_root = self._at_root and at_root is not False
        self._params.enter(program.block_params)
        for node in program.body:
            self._statement(node)
        self._params.leave()
        self._reach, self._at_root = before

    def _statement(self, node: Statement) -> None:
        match node:
            case Mustache():
                self._call(node.call, definite=False)
            case DecoratorBlock():
                self._arguments(node.call)
                self._elsewhere(node.program)
            case PartialBlock():
                self._partial(node.call, has_block=True)
                before, self._in_partial_block = self._in_partial_block, True
                self._elsewhere(node.program)
                self._in_partial_block = before
            case Partial():
                self._partial(node.call, has_block=False)
            case Block():
                self._block(node)

    def _elsewhere(self, program: Program | None) -> None:
        """Look at a body that is shown where a partial is called."""
        before, self._reach = self._reach, None
        self.program(program, at_root=False)
        self._reach = before

    def _block(self, node: Block) -> None:
        name = helper_name(callee_path(node.call)) or ""
        self._call(node.call, definite=False, block=node)
        self.program(node.program, at_root=name in _STAYING)
        self.program(node.inverse)

    # --- partials ---

    def _partial(self, call: Call, *, has_block: bool) -> None:
        self._arguments(call)
        if isinstance(call.callee, SubExpression):
            self._call(call.callee.call, definite=True)
            return
        name = callee_path(call).original
        reach = self._inlines if self._reach is None else self._reach
        if has_block or name in reach or None in reach:
            return
        if name == BLOCK and (self._reach is None or self._in_partial_block):
            return
        message = f"the partial `{short(name)}` is defined in another block, and not known here"
        if name not in self._inlines:
            message = no_partial(name, (one for one in self._inlines if one is not None))
        self._fault(UnknownPartial, message, call.at)

    # --- helpers ---

    def _arguments(self, call: Call) -> None:
        for value in (*call.params, *(value for _, value in call.hash)):
            if isinstance(value, SubExpression):
                self._call(value.call, definite=True)

    def _call(self, call: Call, *, definite: bool, block: Block | None = None) -> None:
        self._arguments(call)
        path, kind = callee_path(call), meaning(call, self._params, definite=definite)
        if kind is Meaning.FIELD:
            return
        name = helper_name(path)
        if name is not None and name in self._helpers:
            self._known(name, call, block)
        elif path.original in LEFT_OUT and (kind is Meaning.HELPER or self._at_root):
            self._fault(UnknownHelper, not_offered(path.original), path.at)
        elif kind is Meaning.HELPER:
            self._fault(UnknownHelper, no_helper(path.original, self._helpers), path.at)

    def _known(self, name: str, call: Call, block: Block | None) -> None:
        helper = self._helpers[name]
        if isinstance(helper, ReadsContext):
            return
        built_in = helper is BUILTIN.get(name)
        if built_in and block and name in _BLOCKS_OF_ONE and len(call.params) == 1:
            return
        values = [self._value(one) for one in call.params]
        hashed = {key: self._value(one) for key, one in reversed(call.hash)}
        bare = helper.helper if isinstance(helper, ChangesContext) else helper
        error = self._always(bare, self._site(name, call, block), values, hashed)
        if error is not None:
            reason = str(error) or type(error).__name__
            if isinstance(error, UnknownZone):
                reason += nearest(error.name, zone_names().values())
            at = _at(call, error)
            self._fault(HelperFailed, f"the helper `{short(name)}` failed: {reason}", at)

    def _site(self, name: str, call: Call, block: Block | None) -> Site:
        def body(program: Program | None) -> Body | None:
            return None if program is None else Body(lambda _: "", (), program.at)

        if block is None:
            return Site(name, call.at)
        return Site(name, call.at, body(block.program), body(block.inverse))

    def _value(self, node: Expression) -> object:
        """What an argument is, if the template alone says it."""
        if isinstance(node, Literal):
            return node.value
        if not isinstance(node, SubExpression):
            return _UNKNOWN
        call = node.call
        helper = self._helpers.get(helper_name(callee_path(call)) or "")
        values = [self._value(one) for one in call.params]
        hashed = {key: self._value(one) for key, one in reversed(call.hash)}
        if helper is None or isinstance(helper, ReadsContext) or not _all_known(values, hashed):
            return _UNKNOWN
        try:
            return self._tried(helper, Site("", call.at), values, hashed)
        except Exception:
            return _UNKNOWN

    def _always(
        self, helper: Helper, site: Site, values: list[object], hashed: dict[str, object]
    ) -> Exception | None:
        """The error that the call gives whatever the unknown values are."""
        unknown = sum(one is _UNKNOWN for one in (*values, *hashed.values()))
        told: Exception | None = None
        for chosen in _choices(site.name, values, unknown):
            rest = iter(chosen)
            given = [next(rest)() if one is _UNKNOWN else one for one in values]
            pairs = {key: next(rest)() if one is _UNKNOWN else one for key, one in hashed.items()}
            try:
                self._tried(helper, site, given, pairs)
            except TemplateError:
                return None  # a limit was passed, by what was made up here
            except Exception as error:
                if told is not None and str(told) != str(error):
                    return None
                told = error
            else:
                return None
        return told

    def _tried(
        self, helper: Helper, site: Site, values: list[object], hashed: dict[str, object]
    ) -> object:
        self._tries += 1
        if self._tries > _MOST_TRIES:
            return _UNKNOWN
        run = Run(self._source, _LIMITS)
        scope = Scope({}, ({}, None), {"root": {}}, None, run)
        return helper(Invocation(site, hashed, scope), *values)

    def _fault(self, kind: type[TemplateError], message: str, at: int) -> None:
        self.faults.append(kind(message, self._source, at))


def _all_known(values: list[object], hashed: Mapping[str, object]) -> bool:
    return all(one is not _UNKNOWN for one in (*values, *hashed.values()))


def _choices(
    name: str, values: list[object], unknown: int
) -> Iterator[Sequence[Callable[[], object]]]:
    """What to try in place of the unknown values: all pairs of types, or as many of more."""
    if unknown == 1 and name in _MEANT_FOR and values and values[0] is _UNKNOWN:
        yield (_MEANT_FOR[name],)
        return
    if not unknown:
        yield ()
        return
    size = len(_TYPES)
    for first, step in product(range(size), range(size if unknown > 1 else 1)):
        yield [_TYPES[(first + step * place) % size] for place in range(unknown)]


def _at(call: Call, error: Exception) -> int:
    """The place of the fault: the invalid time zone, or else the call."""
    if isinstance(error, UnknownZone):
        return next((value.at for key, value in call.hash if key == "tz"), call.at)
    return call.at
