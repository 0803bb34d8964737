"""Which values a template may read, found without rendering it.

A context is described by the root paths it may be: `with user` makes it {("user",)}. A part of a
value that was already read whole (an item of an `each`) has no path and adds nothing. Where `../`
leads depends on the values (a context that equals the one around it does not count), so it is taken
to lead to any of the contexts that far out or further. The result is used to leave out fields that
are not needed, so every doubt counts as read; () stands for everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from carillon.handlebars.helpers.builtin import BUILTIN
from carillon.handlebars.runtime.calls import KNOWN, callee_path, helper_name
from carillon.handlebars.runtime.registry import Helper, ReadsContext
from carillon.handlebars.runtime.values import is_whole_key, plain_text
from carillon.handlebars.syntax.nodes import (
    Block,
    Call,
    DecoratorBlock,
    Expression,
    Literal,
    Mustache,
    Partial,
    PartialBlock,
    Path,
    Program,
    Statement,
    SubExpression,
)

Place: TypeAlias = tuple[str, ...]
Places: TypeAlias = frozenset[Place]

_NOWHERE: Places = frozenset()
_ROOT: Places = frozenset({()})
_BLOCK = "@partial-block"
#: A longer path is cut, so that it stands for more; this makes recursive partials terminate.
_LONGEST = 12
_MOST_VISITS = 200_000
_LOOKUP_PARAMS = 2


class _Where(NamedTuple):
    """The surroundings of an expression: its contexts, innermost first, and named values."""

    contexts: tuple[Places, ...]
    params: frozenset[str]

    def inside(self, context: Places, params: Iterable[str] = ()) -> _Where:
        return _Where((context, *self.contexts), self.params.union(params))


class _Doubt(Exception):
    """The answer is "everything": there is no more to find out."""


def analyse(program: Program, helpers: Mapping[str, Helper], *, goes_on: bool = False) -> Places:
    """Find the root paths that a template may read, each standing for all that is beneath it.

    Lengths and indexes are left off: `data.items.length` is ("data", "items"). The empty path
    means that the template may read anything: there is nothing more to find out, unless one
    `goes_on` to list what it names. Then the longest paths are given: of `data.order`, which a
    block asks for, and `data.order.id` in it the second.
    """
    analysis = _Analysis(helpers, goes_on=goes_on)
    try:
        analysis.program(program, _Where((_ROOT,), frozenset()))
        analysis.partials()
    except (_Doubt, RecursionError):
        analysis.reads.add(())
    reads = analysis.reads
    if goes_on:
        return frozenset(
            reads.difference(place[:end] for place in reads for end in range(1, len(place)))
        )
    return frozenset(place for place in reads if not _covered(place, reads))


class _Analysis:
    def __init__(self, helpers: Mapping[str, Helper], *, goes_on: bool) -> None:
        self.reads: set[Place] = set()
        self._goes_on = goes_on
        self._helpers = helpers
        self._visits = 0
        self._read_within: set[str] = set()
        self._defined: dict[str, dict[tuple[int, _Where], Program]] = {}
        self._called: dict[str, set[Places]] = {}
        self._waiting: list[tuple[Program, _Where]] = []

    def program(self, program: Program | None, where: _Where) -> None:
        for node in program.body if program else ():
            self._visit(len(where.contexts))
            self._statement(node, where)

    def partials(self) -> None:
        """Follow the partials, which may be called before or after what defines them."""
        while self._waiting:
            self.program(*self._waiting.pop())

    def _visit(self, cost: int) -> None:
        self._visits += cost
        if self._visits > _MOST_VISITS:
            raise _Doubt

    def _statement(self, node: Statement, where: _Where) -> None:
        match node:
            case Mustache():
                self._call(node.call, where, definite=False)
            case Partial():
                self._partial(node.call, None, where)
            case PartialBlock():
                self._partial(node.call, node.program, where)
            case DecoratorBlock():
                self._inline(node, where)
            case Block():
                self._block(node, where)

    # --- paths ---

    def _places(self, path: Path, where: _Where) -> Places:
        """Find the root paths that `path` may be."""
        parts = path.parts
        if parts and not path.depth and not path.scoped and parts[0] in where.params:
            return _NOWHERE
        if path.is_data and parts:
            if parts[0] == "_parent":
                raise _Doubt
            return frozenset({_cut(parts[1:])}) if parts[0] == "root" else _NOWHERE
        contexts = where.contexts[path.depth :] if path.depth else where.contexts[:1]
        if parts and not parts[0]:
            parts = ()
        return frozenset(_cut((*place, *parts)) for places in contexts for place in places)

    def _read(self, places: Places) -> None:
        self.reads |= places
        self._read_within.update(place[0] for place in places if len(place) > 1)

    def _value(self, node: Expression, where: _Where) -> None:
        self._read(self._subject(node, where))

    def _subject(self, node: Expression, where: _Where) -> Places:
        """Find what `node` may be; what is computed is read on the way, and is nowhere."""
        if isinstance(node, Path):
            return self._places(node, where)
        if isinstance(node, SubExpression):
            return self._call_places(node.call, where, definite=True)
        return _NOWHERE

    # --- calls ---

    def _call(self, call: Call, where: _Where, *, definite: bool) -> None:
        self._read(self._call_places(call, where, definite=definite))

    def _call_places(self, call: Call, where: _Where, *, definite: bool) -> Places:
        path = callee_path(call)
        if not self._is_helper(call, path, where, definite=definite):
            return self._places(path, where)
        found = self._lookup(call, path, where)
        if found is None:
            self._arguments(call, path, where)
        return _NOWHERE if found is None else found

    def _is_helper(self, call: Call, path: Path, where: _Where, *, definite: bool) -> bool:
        if len(path.parts) == 1 and not path.scoped and path.parts[0] in where.params:
            return False
        name = helper_name(path)
        known = name in KNOWN and len(path.parts) == 1
        return bool(definite or call.params or call.hash or known or name in self._helpers)

    def _lookup(self, call: Call, path: Path, where: _Where) -> Places | None:
        """Follow `lookup x "name"`, which is as good as a path."""
        if helper_name(path) != "lookup" or self._helpers["lookup"] is not BUILTIN["lookup"]:
            return None
        if len(call.params) != _LOOKUP_PARAMS or not isinstance(call.params[1], Literal):
            return None
        name = plain_text(call.params[1].value)
        return frozenset(_cut((*place, name)) for place in self._subject(call.params[0], where))

    def _arguments(self, call: Call, path: Path, where: _Where) -> None:
        helper = self._helpers.get(helper_name(path) or "")
        if isinstance(helper, ReadsContext):
            if not self._goes_on:
                raise _Doubt
            self.reads.add(())
        if helper is None and not call.params:
            self._read(self._places(path, where))
        for param in (*call.params, *(value for _, value in call.hash)):
            self._value(param, where)

    # --- blocks ---

    def _block(self, node: Block, where: _Where) -> None:
        call, path = node.call, callee_path(node.call)
        if not self._is_helper(call, path, where, definite=False):
            self._section(node, self._places(path, where), where)
            return
        name = helper_name(path) or ""
        built_in = len(call.params) == 1 and self._helpers.get(name) is BUILTIN.get(name, name)
        if built_in and name == "with":
            self._with(node, where)
            return
        self._arguments(call, path, where)
        inside = where
        if not (built_in and name in {"if", "unless"}):
            # A helper may give its body the context it stands in, or part of what it was given.
            inside = where.inside(_NOWHERE if built_in and name == "each" else where.contexts[0])
        self.program(node.program, _named(node.program, inside))
        self.program(node.inverse, _named(node.inverse, where))

    def _with(self, node: Block, where: _Where) -> None:
        for _, value in node.call.hash:
            self._value(value, where)
        places = self._subject(node.call.params[0], where)
        if node.program and node.program.block_params:
            self._read(places)
        self.program(node.program, _named(node.program, where.inside(places)))
        self.program(node.inverse, where)
        self._read_condition(places)

    def _section(self, node: Block, places: Places, where: _Where) -> None:
        inside = where.inside(places | where.contexts[0])
        if any(program and program.block_params for program in (node.program, node.inverse)):
            self._read(places)
        self.program(node.program, _named(node.program, inside))
        self.program(node.inverse, _named(node.inverse, where))
        self._read_condition(places)

    def _read_condition(self, places: Places) -> None:
        """Note what a block asks about its subject: whether there is something.

        For the root that is known, and for a root field the fields read of it answer it.
        """
        self._read(
            frozenset(
                place
                for place in places
                if place and (len(place) > 1 or place[0] not in self._read_within)
            )
        )

    # --- partials ---

    def _inline(self, node: DecoratorBlock, where: _Where) -> None:
        params = node.call.params
        if not params or not isinstance(params[0], Literal) or node.program is None:
            raise _Doubt
        self._define(plain_text(params[0].value), node.program, where)

    def _define(self, name: str, program: Program, where: _Where) -> None:
        defined = self._defined.setdefault(name, {})
        if (id(program), where) not in defined:
            defined[id(program), where] = program
            for context in self._called.get(name, ()):
                self._waiting.append((program, _named(program, where.inside(context))))

    def _partial(self, call: Call, block: Program | None, where: _Where) -> None:
        if isinstance(call.callee, SubExpression):
            raise _Doubt
        for _, value in call.hash:
            self._value(value, where)
        context = self._subject(call.params[0], where) if call.params else where.contexts[0]
        if block:
            # Where no partial of that name is in reach, the block itself is shown.
            self._define(_BLOCK, block, where)
            self.program(block, where.inside(context))
        self._called_with(callee_path(call).original, context)

    def _called_with(self, name: str, context: Places) -> None:
        called = self._called.setdefault(name, set())
        if context not in called:
            called.add(context)
            for (_, where), program in self._defined.get(name, {}).items():
                self._waiting.append((program, _named(program, where.inside(context))))


def _named(program: Program | None, where: _Where) -> _Where:
    names = program.block_params if program else ()
    return where._replace(params=where.params.union(names)) if names else where


def _covered(place: Place, reads: set[Place]) -> bool:
    return any(place[:length] in reads for length in range(1, len(place)))


def _cut(place: Place) -> Place:
    for index, name in enumerate(place[: _LONGEST + 1]):
        if index and (name == "length" or is_whole_key(name)):
            return place[:index]
    return place[:_LONGEST]
