"""Tokens to a tree: the statements and blocks of Handlebars.js 4.7's grammar.

Blocks are kept on a list of our own and not on Python's stack, which gives errors that know what
is open and a limit of nesting that is ours to set.
"""

from dataclasses import dataclass, field
from typing import NoReturn

from carillon.handlebars.errors import NestingTooDeep
from carillon.handlebars.runtime.expressions import Expressions, simple_path
from carillon.handlebars.syntax.lexer import Kind, Token, tokenize
from carillon.handlebars.syntax.nodes import (
    Block,
    Call,
    Comment,
    Content,
    Decorator,
    DecoratorBlock,
    Literal,
    Mustache,
    Partial,
    PartialBlock,
    Path,
    Program,
    Statement,
    Strip,
)

_NO_STRIP = Strip()
_PLURAL = 2


@dataclass(slots=True)
class _Link:
    """A block, or one `else if` of it, up to its first `else`."""

    call: Call
    params: tuple[str, ...]
    strip: Strip
    at: int
    body: list[Statement] = field(default_factory=list)


@dataclass(slots=True)
class _Open:
    """A block that waits for its end."""

    token: Token
    links: list[_Link]
    inverse: Program | None = None
    inverse_strip: Strip = _NO_STRIP


def parse(source: str, nesting: int, parts: int) -> Program:
    """Parse a template.

    Raises:
        TemplateSyntaxError: the text breaks the grammar.
        TemplateTooLarge: it has more than so many `parts`.
        NestingTooDeep: blocks, `else if`s or parentheses are nested deeper than `nesting`.
    """
    return _Parser(source, nesting, parts).program()


class _Parser:
    __slots__ = ("_body", "_depth", "_expressions", "_nesting", "_open", "_root", "_source")

    def __init__(self, source: str, nesting: int, parts: int) -> None:
        self._source = source
        self._nesting = nesting
        self._expressions = Expressions(source, tokenize(source, parts), nesting)
        self._root: list[Statement] = []
        self._body = self._root
        self._open: list[_Open] = []
        self._depth = 0

    def program(self) -> Program:
        expressions = self._expressions
        while (token := expressions.next()).kind is not Kind.EOF:
            self._statement(token)
        if self._open:
            self._unclosed(self._open[-1])
        return Program(0, self._root)

    def _statement(self, token: Token) -> None:
        match token.kind:
            case Kind.CONTENT:
                self._body.append(Content(token.at, token.text, token.text))
            case Kind.FIELD:
                self._body.append(_field(token))
            case Kind.OPEN:
                self._mustache(token, Kind.CLOSE)
            case Kind.OPEN_UNESCAPED:
                self._mustache(token, Kind.CLOSE_UNESCAPED)
            case Kind.OPEN_BLOCK | Kind.OPEN_INVERSE | Kind.OPEN_PARTIAL_BLOCK:
                self._begin(token)
            case Kind.OPEN_ENDBLOCK:
                self._end(token)
            case Kind.INVERSE:
                self._else(token)
            case Kind.OPEN_INVERSE_CHAIN:
                self._else_if(token)
            case Kind.COMMENT:
                self._body.append(Comment(token.at, _strip(token, token)))
            case Kind.OPEN_PARTIAL:
                self._partial(token)
            case Kind.OPEN_RAW_BLOCK:
                self._raw_block(token)
            case _:
                self._expressions.unexpected(token)

    def _mustache(self, opened: Token, close: Kind) -> None:
        call = self._expressions.call()
        strip = _strip(opened, self._expressions.expect(close, opened))
        if "*" in opened.text:
            self._body.append(Decorator(opened.at, call, strip))
        else:
            escaped = opened.text[-1] not in "{&" or opened.text == "{{"
            self._body.append(Mustache(opened.at, call, escaped, strip))

    def _partial(self, opened: Token) -> None:
        call = self._expressions.call(partial=True)
        strip = _strip(opened, self._expressions.expect(Kind.CLOSE, opened))
        self._check_partial(call)
        self._body.append(Partial(opened.at, call, strip))

    def _check_partial(self, call: Call) -> None:
        if len(call.params) >= _PLURAL:
            self._fail("a partial takes one context at most", call.params[1].at)

    def _raw_block(self, opened: Token) -> None:
        expressions = self._expressions
        call = expressions.call()
        expressions.expect(Kind.CLOSE_RAW_BLOCK, opened)
        body: list[Statement] = []
        while (token := expressions.next()).kind is Kind.CONTENT:
            body.append(Content(token.at, token.text, token.text))
        name = _original(call)
        if token.kind is not Kind.END_RAW_BLOCK:
            self._fail(f"`{{{{{{{{{name}}}}}}}}}` is never closed", opened.at)
        if token.text != name:
            self._fail(f"`{token.text}` closes the raw block `{name}`", token.at)
        self._body.append(Block(opened.at, call, Program(opened.at, body)))

    def _begin(self, opened: Token) -> None:
        partial = opened.kind is Kind.OPEN_PARTIAL_BLOCK
        self._deeper(opened)
        call = self._expressions.call(partial=partial)
        if partial:
            self._check_partial(call)
        params = () if partial else self._expressions.block_params()
        strip = _strip(opened, self._expressions.expect(Kind.CLOSE, opened))
        link = _Link(call, params, strip, opened.at)
        self._open.append(_Open(opened, [link]))
        self._body = link.body

    def _deeper(self, opened: Token) -> None:
        self._depth += 1
        if self._depth > self._nesting:
            message = f"blocks stand in each other more than {self._nesting} deep"
            raise NestingTooDeep(message, self._source, opened.at)

    def _else(self, token: Token) -> None:
        block = self._inverted(token)
        if "*" in block.token.text:
            self._fail("an inline partial has no `{{else}}`", token.at)
        block.inverse = Program(token.at, [])
        block.inverse_strip = _strip(token, token)
        self._body = block.inverse.body

    def _else_if(self, opened: Token) -> None:
        block = self._inverted(opened)
        if block.token.kind is Kind.OPEN_INVERSE or "*" in block.token.text:
            self._fail(f"`{_tag(block)}` takes a plain `{{{{else}}}}` only", opened.at)
        self._deeper(opened)
        call = self._expressions.call()
        params = self._expressions.block_params()
        strip = _strip(opened, self._expressions.expect(Kind.CLOSE, opened))
        block.links.append(_Link(call, params, strip, opened.at))
        self._body = block.links[-1].body

    def _inverted(self, token: Token) -> _Open:
        if not self._open:
            self._fail("`{{else}}` stands outside of a block", token.at)
        block = self._open[-1]
        if block.token.kind is Kind.OPEN_PARTIAL_BLOCK:
            self._fail("a partial block has no `{{else}}`", token.at)
        if block.inverse is not None:
            self._fail(f"`{_tag(block)}` has an `{{{{else}}}}` already", token.at)
        return block

    def _end(self, opened: Token) -> None:
        name = self._expressions.name()
        close = _strip(opened, self._expressions.expect(Kind.CLOSE, opened))
        if not self._open:
            self._fail(f"`{{{{/{_name(name)}}}}}` closes nothing", opened.at)
        block = self._open[-1]
        if not _same_name(block.links[0].call, name):
            line = self._source.count("\n", 0, block.token.at) + 1
            message = f"`{{{{/{_name(name)}}}}}` closes `{_tag(block)}` of line {line}"
            self._fail(message, opened.at)
        self._open.pop()
        self._depth -= len(block.links)
        self._enclosing().append(_assembled(block, close))

    def _enclosing(self) -> list[Statement]:
        if not self._open:
            self._body = self._root
        else:
            block = self._open[-1]
            self._body = block.inverse.body if block.inverse else block.links[-1].body
        return self._body

    def _unclosed(self, block: _Open) -> NoReturn:
        self._fail(f"`{_tag(block)}` is never closed", block.token.at)

    def _fail(self, message: str, at: int) -> NoReturn:
        self._expressions.fail(message, at)


def _field(token: Token) -> Mustache:
    path = simple_path(token.text, token.at + 2)
    return Mustache(token.at, Call(path.at, path), escaped=True, strip=_NO_STRIP)


def _assembled(block: _Open, close: Strip) -> Block:
    """Make the node, its `else if`s nested in its inverse: `prepareBlock` of the reference."""
    inverse, inverse_strip = block.inverse, block.inverse_strip
    for link in reversed(block.links[1:]):
        # The reference ends each `else if` with the strip of what follows it, not of its own end.
        _close_chained(inverse, inverse_strip)
        chained = Block(link.at, link.call, Program(link.at, link.body, link.params))
        chained.inverse, chained.inverse_strip = inverse, inverse_strip
        chained.open_strip, chained.close_strip = link.strip, inverse_strip
        inverse, inverse_strip = Program(link.at, [chained], chained=True), link.strip
    _close_chained(inverse, close)
    return _outer(block, inverse, inverse_strip, close)


def _close_chained(inverse: Program | None, strip: Strip) -> None:
    if inverse and inverse.chained and isinstance(inverse.body[0], Block):
        inverse.body[0].close_strip = strip


def _outer(block: _Open, inverse: Program | None, inverse_strip: Strip, close: Strip) -> Block:
    link = block.links[0]
    kind = Block
    if block.token.kind is Kind.OPEN_PARTIAL_BLOCK:
        kind = PartialBlock
    elif "*" in block.token.text:
        kind = DecoratorBlock
    program: Program | None = Program(link.at, link.body, link.params)
    if block.token.kind is Kind.OPEN_INVERSE:
        program, inverse = inverse, program
    return kind(link.at, link.call, program, inverse, link.strip, inverse_strip, close)


def _strip(opened: Token, closed: Token) -> Strip:
    return Strip(opened.text[2:3] == "~", closed.text[-3:-2] == "~")


def _original(call: Call) -> object:
    callee = call.callee
    if isinstance(callee, Path):
        return callee.original
    return callee.value if isinstance(callee, Literal) else None


def _same_name(call: Call, close: Path | Literal) -> bool:
    opened = _original(call)
    closed = close.original if isinstance(close, Path) else close.value
    return type(opened) is type(closed) and opened == closed


def _name(name: Path | Literal) -> object:
    return name.original if isinstance(name, Path) else name.value


def _tag(block: _Open) -> str:
    return f"{block.token.text}{_original(block.links[0].call)}}}}}"
