"""The tree to closures: each statement becomes a function from a scope to its text.

Follows `compiler/compiler.js` of Handlebars.js 4.7. Closures and not generated source: they compile
in a third of the time, know no limit of nesting, and there is no `exec` to defend.

The most frequent ones hold what they need as defaults of their parameters: a closure has a cell for
each of its variables, and to look for garbage among those of a large template would hold everybody.
"""

from __future__ import annotations

from collections.abc import Mapping

from carillon.handlebars.errors import TemplateSyntaxError
from carillon.handlebars.helpers.builtin import BUILTIN
from carillon.handlebars.helpers.misc import LEFT_OUT
from carillon.handlebars.runtime import control, output
from carillon.handlebars.runtime.calls import (
    Meaning,
    callee_path,
    field_or_left_out,
    helper_call,
    helper_name,
    makes_text,
    meaning,
    unknown_helper,
)
from carillon.handlebars.runtime.output import Escaper, Escaping, escaper
from carillon.handlebars.runtime.partials import PartialCall, partial
from carillon.handlebars.runtime.paths import BlockParams, compile_path
from carillon.handlebars.runtime.registry import ChangesContext, Helper, Site
from carillon.handlebars.runtime.runtime import Body, Emit, Evaluate
from carillon.handlebars.runtime.values import UNDEFINED
from carillon.handlebars.syntax.nodes import (
    Block,
    Call,
    Content,
    Decorator,
    DecoratorBlock,
    Expression,
    Literal,
    Mustache,
    Partial,
    PartialBlock,
    Path,
    Program,
    Statement,
    short,
)

_TAGS_PER_STEP = 4
_HELPER_STEPS = 4
_INLINE_STEPS = 3
_SHORT = 2


class Compiler:
    """Compiles one template with a given set of helpers."""

    __slots__ = ("_escaper", "_helpers", "_params", "_source", "_tracked", "_weight", "changes")

    def __init__(
        self, source: str, helpers: Mapping[str, Helper], escaping: Escaping = "html"
    ) -> None:
        self._source = source
        self._helpers = helpers
        self._escaper = escaper(escaping)
        self._params = BlockParams()
        self._tracked = "|" in source
        self._weight = 0
        #: Does the template call a helper that changes what it is given?
        self.changes = False

    def body(self, program: Program) -> Body:
        """Compile a body, and those inside of it."""
        weight, self._weight = self._weight, 0
        self._params.enter(program.block_params)
        parts: list[str | Emit] = []
        inlines: list[tuple[Evaluate, Body]] = []
        for node in program.body:
            if isinstance(node, DecoratorBlock | Decorator):
                inlines.append(self._inline(node))
            elif isinstance(node, Content):
                parts.append(node.value)
            elif (part := self._statement(node)) is not None:
                parts.append(part)
        self._params.leave()
        cost = 1 + self._weight // _TAGS_PER_STEP
        self._weight = weight
        return Body(output.joined(parts, cost, program.at), tuple(inlines), program.at)

    def _statement(self, node: Statement) -> Emit | None:
        match node:
            case Mustache():
                return self._mustache(node)
            case PartialBlock():
                return self._partial(node, node.program, "")
            case Block():
                return self._block(node)
            case Partial():
                return self._partial(node, None, node.indent)
        return None

    def _mustache(self, node: Mustache) -> Emit:
        call = node.call
        escaper = self._escaper if node.escaped else None
        path = call.callee
        if escaper and isinstance(path, Path) and self._is_field(call, path):
            self._weight += 1
            return output.escaped_field(path, escaper)
        value = self._call(call, definite=False)
        return output.escaped(value, node.at, escaper) if escaper else output.bare(value, node.at)

    def _is_field(self, call: Call, path: Path) -> bool:
        """Is it `name` or `first.second` of the context, and nothing else?"""
        if call.params or call.hash or path.depth or path.is_data:
            return False
        parts = path.parts
        if (
            not 0 < len(parts) <= _SHORT
            or not parts[0]
            or parts[0] in BUILTIN
            or self._params.find(parts[0])
        ):
            return False
        if len(parts) == _SHORT or path.scoped:
            return True
        return parts[0] not in self._helpers and parts[0] not in LEFT_OUT

    def _expression(self, node: Expression) -> Evaluate:
        if isinstance(node, Path):
            self._weight += 1 + len(node.parts) // 4
            return compile_path(node, self._params)
        if isinstance(node, Literal):
            value = node.value
            return lambda _scope: value
        return self._call(node.call, definite=True)

    def _call(self, call: Call, *, definite: bool) -> Evaluate:
        path = callee_path(call)
        kind = meaning(call, self._params, definite=definite)
        if kind is Meaning.HELPER:
            return self._helper(call, path, None, None)
        if kind is Meaning.AMBIGUOUS and path.parts[0] in self._helpers:
            return self._helper_call(call, path.parts[0], None, None)
        value = self._expression(path)
        return field_or_left_out(path, value) if kind is Meaning.AMBIGUOUS else value

    def _helper(
        self, call: Call, path: Path, program: Body | None, inverse: Body | None
    ) -> Evaluate:
        name = helper_name(path)
        if name is not None and name in self._helpers:
            return self._helper_call(call, name, program, inverse)
        return unknown_helper(path, call, self._expression(path), self._helpers)

    def _helper_call(
        self, call: Call, name: str, program: Body | None, inverse: Body | None
    ) -> Evaluate:
        self._weight += _HELPER_STEPS * _TAGS_PER_STEP + len(call.params) + 2 * len(call.hash)
        params = tuple(self._expression(param) for param in call.params)
        hashed = self._hash(call)
        site = Site(name, call.at, program, inverse)
        helper = self._helpers[name]
        self.changes = self.changes or isinstance(helper, ChangesContext)
        return helper_call(helper, params, hashed, site)

    def _hash(self, call: Call) -> tuple[tuple[str, Evaluate], ...]:
        # The reference leaves out what is written as `key=undefined`.
        return tuple(
            (key, self._expression(value))
            for key, value in call.hash
            if not (isinstance(value, Literal) and value.value is UNDEFINED)
        )

    def _block(self, block: Block) -> Emit:
        call, path = block.call, callee_path(block.call)
        if (
            self._escaper
            and not self._escaper.trusts
            and makes_text(call, self._params, self._helpers)
        ):
            return self._whole(block, self._escaper)
        program = self.body(block.program) if block.program else None
        inverse = self.body(block.inverse) if block.inverse else None
        bodies = control.Bodies(program, inverse, self._tracked)
        kind = meaning(call, self._params, definite=False)
        if kind is Meaning.HELPER:
            built_in = self._control(call, path, bodies)
            if built_in:
                return built_in
            return output.settled(self._helper(call, path, program, inverse), block.at)
        if kind is Meaning.AMBIGUOUS and path.parts[0] in self._helpers:
            value = self._helper_call(call, path.parts[0], program, inverse)
            return output.settled(value, block.at)
        value = self._expression(path)
        if kind is Meaning.AMBIGUOUS:
            value = field_or_left_out(path, value)
        return control.section(value, bodies)

    def _whole(self, block: Block, escaper: Escaper) -> Emit:
        """Escape what comes of a block and not what goes in: the helper may take that away."""
        self._escaper = None
        try:
            emit = self._block(block)
        finally:
            self._escaper = escaper
        return output.escaped(emit, block.at, escaper)

    def _control(self, call: Call, path: Path, bodies: control.Bodies) -> Emit | None:
        """Compile a built-in block directly, if it is one, not replaced, and called properly."""
        name = helper_name(path)
        if name is None or self._helpers.get(name) is not BUILTIN.get(name, name):
            return None
        if len(call.params) != 1:
            return None
        if name in {"if", "unless"}:
            return self._conditional(call, name, bodies)
        make = {"each": control.loop, "with": control.scoped}.get(name)
        if make is None:
            return None
        self._weight += _TAGS_PER_STEP
        block = make(self._expression(call.params[0]), bodies)
        return self._after_hash(call, block)

    def _after_hash(self, call: Call, block: Emit) -> Emit:
        """Evaluate arguments that a built-in has no use for: what is wrong in them is an error."""
        unused = [self._expression(value) for _, value in call.hash]
        return control.after(unused, block) if unused else block

    def _conditional(self, call: Call, name: str, bodies: control.Bodies) -> Emit:
        if name == "unless":
            bodies = control.Bodies(bodies.inverse, bodies.program, bodies.tracked)
        condition = self._expression(call.params[0])
        include_zero = dict(reversed(call.hash)).get("includeZero")
        if include_zero is None:
            return self._after_hash(call, control.conditional(condition, bodies))
        block = control.conditional_zero(condition, self._expression(include_zero), bodies)
        return self._after_hash(call, block)

    def _inline(self, node: Decorator | DecoratorBlock) -> tuple[Evaluate, Body]:
        path = callee_path(node.call)
        if path.original != "inline" or isinstance(node, Decorator) or node.program is None:
            name = short(path.original)
            message = f'`{name}` is no decorator: there is `{{{{#*inline "name"}}}}` alone'
            raise TemplateSyntaxError(message, self._source, node.at)
        params = node.call.params
        self._weight += _INLINE_STEPS * _TAGS_PER_STEP
        called = self._expression(params[0] if params else Literal(node.at, "undefined"))
        return called, self.body(node.program)

    def _partial(self, node: Partial | PartialBlock, block: Program | None, indent: str) -> Emit:
        call = node.call
        self._weight += _TAGS_PER_STEP
        if isinstance(call.callee, Path | Literal):
            name: str | Evaluate = callee_path(call).original
        else:
            name = self._expression(call.callee)
        here = Path(call.at, (), 0, is_data=False, original="this", scoped=True)
        context = self._expression(call.params[0] if call.params else here)
        hashed = self._hash(call) if call.hash else None
        body = self.body(block) if block else None
        return partial(PartialCall(name, context, hashed, body, indent, node.at))
