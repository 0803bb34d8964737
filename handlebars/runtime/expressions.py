"""The inside of a tag: names, literals, parentheses, `key=value`, `as |a b|`.

Recursive descent over the productions `helperName`, `param`, `sexpr`, `hash` and `blockParams` of
Handlebars.js 4.7 (`src/handlebars.yy`), and `preparePath` of its `compiler/helpers.js`.
"""

import re
from typing import NoReturn

from carillon.handlebars.errors import NestingTooDeep, TemplateSyntaxError, TemplateTooLarge
from carillon.handlebars.runtime.values import UNDEFINED
from carillon.handlebars.syntax.lexer import Kind, Token
from carillon.handlebars.syntax.nodes import Call, Expression, Literal, Path, SubExpression

_BRACKETED = re.compile(r"\[[^\n\r\u2028\u2029]*\]\Z")
_SCOPED = re.compile(r"^\.|this\b", re.ASCII)
_SAFE_INTEGER = 2**53
_PARENTHESES = 4
_LITERALS = {Kind.STRING, Kind.NUMBER, Kind.BOOLEAN, Kind.UNDEFINED, Kind.NULL}
_NAMES = _LITERALS | {Kind.ID, Kind.DATA}


class Expressions:
    """A cursor over tokens that knows how to read what stands inside a tag."""

    __slots__ = ("_depth", "_nesting", "index", "source", "tokens")

    def __init__(self, source: str, tokens: list[Token], nesting: int) -> None:
        self.source = source
        self.tokens = tokens
        self.index = 0
        self._nesting = nesting
        self._depth = 0

    def next(self) -> Token:
        """Take one token."""
        token = self.tokens[self.index]
        self.index += 1
        return token

    def call(self, *, partial: bool = False) -> Call:
        """Read `name param… key=value…`; the name of a partial may be a subexpression."""
        start = self.tokens[self.index]
        computed = partial and start.kind is Kind.OPEN_SEXPR
        callee = self._subexpression() if computed else self.name()
        return Call(start.at, callee, self._params(), self._hash())

    def name(self) -> Path | Literal:
        """Read a path, `@data` or a literal."""
        token = self.next()
        if token.kind is Kind.ID:
            return self._path(token)
        if token.kind is Kind.DATA:
            first = self.next()
            if first.kind is not Kind.ID:
                self.unexpected(first)
            return self._path(first, is_data=True)
        if token.kind not in _LITERALS:
            self.unexpected(token)
        return Literal(token.at, _literal(token))

    def block_params(self) -> tuple[str, ...]:
        """Read `as |a b|`, if it is there."""
        if self.tokens[self.index].kind is not Kind.OPEN_BLOCK_PARAMS:
            return ()
        self.index += 1
        names = []
        while (token := self.next()).kind is Kind.ID:
            names.append(token.text)
        if token.kind is not Kind.CLOSE_BLOCK_PARAMS:
            self.unexpected(token)
        if not names:
            self.fail("a name is missing between `as |` and `|`", token.at)
        return tuple(names)

    def expect(self, kind: Kind, opened: Token) -> Token:
        """Take the token that must come now; `opened` is the tag to speak of if it doesn't."""
        token = self.next()
        if token.kind is not kind:
            self.unexpected(token, opened)
        return token

    def fail(self, message: str, at: int) -> NoReturn:
        """Raise a syntax error that points at `at`."""
        raise TemplateSyntaxError(message, self.source, at)

    def unexpected(self, token: Token, opened: Token | None = None) -> NoReturn:
        """Raise a syntax error that says what is wrong with this token here."""
        if token.kind is Kind.TOO_MANY:
            message = f"this template has more than {token.text} names, values and pieces of text"
            raise TemplateTooLarge(message, self.source, token.at)
        if token.kind is Kind.INVALID:
            self.fail(_invalid(token.text), token.at)
        if token.kind in {Kind.EOF, Kind.CONTENT} or token.text.startswith("{{"):
            at = opened.at if opened else self._tag_start()
            self.fail(f"`{_shown(self.source[at : at + 30])}` opens a tag that never closes", at)
        if token.kind in {Kind.CLOSE, Kind.CLOSE_UNESCAPED, Kind.CLOSE_RAW_BLOCK}:
            expected = opened.text.count("{") if opened else 0
            if expected and token.text.count("}") != expected:
                self.fail(f"`{token.text}` does not close `{opened and opened.text}`", token.at)
            self.fail(f"something is missing before `{token.text}`", token.at)
        self.fail(f"`{_shown(token.text)}` can't stand here", token.at)

    def _tag_start(self) -> int:
        index = self.index - 2
        while index > 0 and not self.tokens[index].text.startswith("{{"):
            index -= 1
        return self.tokens[max(index, 0)].at

    def _params(self) -> tuple[Expression, ...]:
        tokens, params = self.tokens, list[Expression]()
        while True:
            kind = tokens[self.index].kind
            if kind is Kind.OPEN_SEXPR:
                params.append(self._subexpression())
            elif kind in _NAMES and tokens[self.index + 1].kind is not Kind.EQUALS:
                params.append(self.name())
            else:
                return tuple(params)

    def _hash(self) -> tuple[tuple[str, Expression], ...]:
        tokens, pairs = self.tokens, list[tuple[str, Expression]]()
        while tokens[self.index].kind is Kind.ID:
            key = self.next()
            equals = self.next()
            if equals.kind is not Kind.EQUALS:
                self.fail(f"`{_shown(key.text)}` must stand before the first `key=value`", key.at)
            value = self._value()
            pairs.append((unbracketed(key.text), value))
        return tuple(pairs)

    def _value(self) -> Expression:
        if self.tokens[self.index].kind is Kind.OPEN_SEXPR:
            return self._subexpression()
        return self.name()

    def _subexpression(self) -> SubExpression:
        opened = self.next()
        self._depth += 1
        # Parentheses are parsed, compiled and run by recursion, blocks nearly without.
        deepest = self._nesting // _PARENTHESES
        if self._depth > deepest:
            message = f"parentheses stand in each other more than {deepest} deep"
            raise NestingTooDeep(message, self.source, opened.at)
        call = self.call()
        token = self.next()
        if token.kind is not Kind.CLOSE_SEXPR:
            if token.kind in {Kind.CLOSE, Kind.CLOSE_UNESCAPED, Kind.EOF}:
                self.fail("`(` is never closed", opened.at)
            self.unexpected(token)
        self._depth -= 1
        return SubExpression(opened.at, call)

    def _path(self, first: Token, *, is_data: bool = False) -> Path:
        tokens, parts, depth = self.tokens, list[str](), 0
        original = "@" if is_data else ""
        token = first
        while True:
            part = unbracketed(token.text)
            original += part
            if part in {"..", ".", "this"} and part == token.text:
                if parts:
                    self.fail(f"`{part}` can only stand at the start of a path", token.at)
                depth += part == ".."
            else:
                parts.append(part)
            if tokens[self.index].kind is not Kind.SEP:
                scoped = _SCOPED.search(original) is not None
                return Path(first.at, tuple(parts), depth, is_data, original, scoped)
            original += self.next().text
            token = self.next()
            if token.kind is not Kind.ID:
                if token.kind is Kind.NUMBER:
                    self.fail(f"a number in a path stands in brackets: `[{token.text}]`", token.at)
                self.unexpected(token)


def simple_path(text: str, at: int) -> Path:
    """Make the path of names and dots alone."""
    scoped = "this" in text and _SCOPED.search(text) is not None
    return Path(at, tuple(text.split(".")), 0, is_data=False, original=text, scoped=scoped)


def unbracketed(text: str) -> str:
    """Free a segment of its brackets. One with a line break keeps them, as in the reference."""
    return text[1:-1] if text[0] == "[" and _BRACKETED.match(text) else text


def _literal(token: Token) -> object:
    if token.kind is Kind.STRING:
        return token.text
    if token.kind is Kind.NUMBER:
        number = float(token.text)
        whole = number.is_integer() and 0 < abs(number) < _SAFE_INTEGER
        return int(number) if whole or token.text == "0" else number
    if token.kind is Kind.BOOLEAN:
        return token.text == "true"
    return None if token.kind is Kind.NULL else UNDEFINED


def _invalid(text: str) -> str:
    match text:
        case '"' | "'":
            return f"the text that {text} begins never ends"
        case "{{!":
            return "this comment never ends"
        case "\0":
            return "a NUL character can't stand in a template"
        case "":
            return "a raw block never ends"
        case "[":
            return "`[` is never closed"
        case _:
            return f"`{text}` can't stand in a tag"


def _shown(text: str) -> str:
    return text.split("\n", 1)[0]
