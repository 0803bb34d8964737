"""Template text to tokens: the lexer of Handlebars.js 4.7 (`src/handlebars.l`).

The rules inside a tag are tried in the reference's order and the first that matches wins, which
one alternation does. Whatever the reference does with a pattern that may run to the end of the
text (strings, brackets, comments, text up to the next tag) is done with `find` here: the time is
linear whatever the text.
"""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import NamedTuple


class Kind(Enum):
    """The terminals of Handlebars.js' grammar, by its names, and three of our own.

    INVALID stands for no terminal, TOO_MANY for what is not read any more. FIELD is a whole
    `{{name.name}}`, the commonest of tags, taken at once; its text is the path.
    """

    # Members are compared by identity anyway, and Enum's own hash is a call into Python.
    __hash__ = object.__hash__

    CONTENT = auto()
    COMMENT = auto()
    OPEN_RAW_BLOCK = auto()
    CLOSE_RAW_BLOCK = auto()
    END_RAW_BLOCK = auto()
    OPEN_BLOCK = auto()
    OPEN_ENDBLOCK = auto()
    OPEN_INVERSE = auto()
    OPEN_INVERSE_CHAIN = auto()
    INVERSE = auto()
    OPEN_PARTIAL = auto()
    OPEN_PARTIAL_BLOCK = auto()
    OPEN_UNESCAPED = auto()
    CLOSE_UNESCAPED = auto()
    OPEN = auto()
    CLOSE = auto()
    OPEN_SEXPR = auto()
    CLOSE_SEXPR = auto()
    OPEN_BLOCK_PARAMS = auto()
    CLOSE_BLOCK_PARAMS = auto()
    ID = auto()
    SEP = auto()
    EQUALS = auto()
    DATA = auto()
    STRING = auto()
    NUMBER = auto()
    BOOLEAN = auto()
    UNDEFINED = auto()
    NULL = auto()
    FIELD = auto()
    INVALID = auto()
    TOO_MANY = auto()
    EOF = auto()


class Token(NamedTuple):
    """One terminal: its text, freed of quotes and escapes, and where it starts."""

    kind: Kind
    text: str
    at: int


#: What `\\s` means in JavaScript; Python's also takes \\x1c-\\x1f and \\x85, and not \\ufeff.
WHITESPACE = (
    "\t\n\v\f\r \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\ufeff"
)
_NAME = "[^" + WHITESPACE + r"""!"#%-,./;->@\[-^`{-~]++"""
_AFTER_NAME = r"(?=[=~}/.)|" + WHITESPACE + "])"
_AFTER_LITERAL = "(?=[~})" + WHITESPACE + "])"
_SPACES = "[" + WHITESPACE + "]*+"

_RULES = (
    ("OPEN_SEXPR", r"\("),
    ("CLOSE_SEXPR", r"\)"),
    ("OPEN_RAW_BLOCK", r"\{\{\{\{"),
    ("CLOSE_RAW_BLOCK", r"\}\}\}\}"),
    ("OPEN_PARTIAL", r"\{\{~?>"),
    ("OPEN_PARTIAL_BLOCK", r"\{\{~?#>"),
    ("OPEN_BLOCK", r"\{\{~?#\*?"),
    ("OPEN_ENDBLOCK", r"\{\{~?/"),
    ("INVERSE", rf"\{{\{{~?(?:\^{_SPACES}|{_SPACES}else{_SPACES})~?\}}\}}"),
    ("OPEN_INVERSE", r"\{\{~?\^"),
    ("OPEN_INVERSE_CHAIN", rf"\{{\{{~?{_SPACES}else(?![A-Za-z0-9_])"),
    ("OPEN_UNESCAPED", r"\{\{~?\{"),
    ("AMPERSAND", r"\{\{~?&"),
    ("LONG_COMMENT", r"\{\{~?!--"),
    ("COMMENT", r"\{\{~?!"),
    ("OPEN", r"\{\{~?\*?"),
    ("EQUALS", "="),
    ("ID", rf"\.\.|\.{_AFTER_NAME}"),
    ("SEP", "[/.]"),
    ("SPACE", "[" + WHITESPACE + "]++"),
    ("CLOSE_UNESCAPED", r"\}~?\}\}"),
    ("CLOSE", r"~?\}\}"),
    ("QUOTE", "[\"']"),
    ("DATA", "@"),
    ("BOOLEAN", f"(?:true|false){_AFTER_LITERAL}"),
    ("UNDEFINED", f"undefined{_AFTER_LITERAL}"),
    ("NULL", f"null{_AFTER_LITERAL}"),
    ("NUMBER", rf"-?[0-9]+(?:\.[0-9]+)?{_AFTER_LITERAL}"),
    ("OPEN_BLOCK_PARAMS", "as[" + WHITESPACE + r"]++\|"),
    ("CLOSE_BLOCK_PARAMS", r"\|"),
    ("NAME", _NAME + _AFTER_NAME),
    ("BRACKET", r"\["),
    ("INVALID", "(?s:.)"),
)
_IN_TAG = re.compile("|".join(f"(?P<{name}>{rule})" for name, rule in _RULES))
_LEAVES_TAG = frozenset(
    {Kind.CLOSE, Kind.CLOSE_UNESCAPED, Kind.INVERSE, Kind.COMMENT, Kind.INVALID}
)
#: What stands beside names and values: one or two for each.
_SIGNS = frozenset(
    {
        Kind.OPEN_RAW_BLOCK,
        Kind.CLOSE_RAW_BLOCK,
        Kind.OPEN_BLOCK,
        Kind.OPEN_ENDBLOCK,
        Kind.OPEN_INVERSE,
        Kind.OPEN_INVERSE_CHAIN,
        Kind.OPEN_PARTIAL,
        Kind.OPEN_PARTIAL_BLOCK,
        Kind.OPEN_UNESCAPED,
        Kind.CLOSE_UNESCAPED,
        Kind.OPEN,
        Kind.CLOSE,
        Kind.OPEN_SEXPR,
        Kind.CLOSE_SEXPR,
        Kind.SEP,
        Kind.EQUALS,
        Kind.DATA,
    }
)
_CUT_OFF = re.compile(_NAME + r"\Z")
_PLAIN = {kind.name: kind for kind in Kind} | {"AMPERSAND": Kind.OPEN, "NAME": Kind.ID}
_RAW_END = re.compile(rf"\{{\{{\{{\{{/({_NAME})(?=[=}}/.{WHITESPACE}])\}}\}}\}}\}}")
_RAW_START = re.compile(r"\{\{\{\{(?=[^/])")
_LONG_COMMENT_END = re.compile(r"--~?\}\}")
_SEGMENT = r"(?!(?:true|false|null|undefined|this)[.}])(?![0-9-])" + _NAME
#: `{{name.name}}` with nothing that any other rule could want.
_FIELD = re.compile(rf"\{{\{{(?!else(?![A-Za-z0-9_]))({_SEGMENT}(?:\.{_SEGMENT})*+)\}}\}}(?!\}})")
_AFTER_ESCAPED = re.compile(r"\\{0,2}\{\{")


def tokenize(source: str, most: int) -> list[Token]:
    """Cut `source` into tokens, the last of them EOF or, where no rule matches, INVALID.

    After `most` names, values and pieces of text it is TOO_MANY.
    """
    return _Lexer(source, most).run()


class _Lexer:
    __slots__ = ("at", "most", "source", "tokens")

    def __init__(self, source: str, most: int) -> None:
        self.source = source
        self.most = most
        self.at = 0
        self.tokens: list[Token] = []

    def run(self) -> list[Token]:
        end, parts, seen = len(self.source), 0, 0
        while self.at < end and not self._failed():
            self._text()
            for index in range(seen, len(self.tokens)):
                parts += self.tokens[index].kind not in _SIGNS
                if parts > self.most:
                    self.tokens[index:] = [
                        Token(Kind.TOO_MANY, f"{self.most:,}", self.tokens[index].at)
                    ]
                    return self.tokens
            seen = len(self.tokens)
        if not self._failed():
            self._add(Kind.EOF, "", self.at)
        return self.tokens

    def _failed(self) -> bool:
        return bool(self.tokens) and self.tokens[-1].kind is Kind.INVALID

    def _add(self, kind: Kind, text: str, end: int) -> None:
        self.tokens.append(Token(kind, text, self.at))
        self.at = end

    def _content(self, end: int, text: str) -> None:
        # No rule of the reference for text takes a NUL, so a NUL is an error there too.
        nul = self.source.find("\0", self.at, end)
        if nul >= 0:
            self.at = nul
            self._add(Kind.INVALID, "\0", nul)
        elif text:
            self._add(Kind.CONTENT, text, end)
        else:
            self.at = end

    def _text(self) -> None:
        brace = self.source.find("{{", self.at)
        if brace < 0:
            self._content(len(self.source), self.source[self.at :])
            return
        text = self.source[self.at : brace]
        escaped = text.endswith("\\")
        self._content(brace, text[:-1] if escaped else text)
        if self._failed():
            return
        if escaped and not text.endswith("\\\\"):
            self._escaped_tag()
        elif field := _FIELD.match(self.source, brace):
            self._add(Kind.FIELD, field.group(1), field.end())
        else:
            self._tag()

    def _escaped_tag(self) -> None:
        follows = _AFTER_ESCAPED.search(self.source, self.at + 2)
        end = follows.start() if follows else len(self.source)
        self._content(end, self.source[self.at : end])

    def _tag(self) -> None:
        source, match, add = self.source, _IN_TAG.match, self.tokens.append
        while found := match(source, self.at):
            rule = found.lastgroup or ""
            if rule == "SPACE":
                self.at = found.end()
                continue
            if rule == "INVALID" and _CUT_OFF.match(source, self.at):
                # The text ends in a name: what is wrong is that the tag never closes.
                self.at = len(source)
                return
            kind = _PLAIN.get(rule)
            if kind is None or kind is Kind.COMMENT:
                kind = self._long(rule, found.end())
            else:
                add(Token(kind, found.group(), self.at))
                self.at = found.end()
            if kind in _LEAVES_TAG:
                return
            if kind is Kind.CLOSE_RAW_BLOCK:
                self._raw()
                return

    def _long(self, rule: str, start: int) -> Kind:
        """Take a token that may run far: a comment, a string, a bracketed name."""
        if rule in {"COMMENT", "LONG_COMMENT"}:
            return self._comment(rule == "LONG_COMMENT", start)
        quote = "]" if rule == "BRACKET" else self.source[self.at]
        end = self._closing(quote, start)
        if end < 0:
            self._add(Kind.INVALID, self.source[self.at], self.at)
            return Kind.INVALID
        inner = self.source[start:end]
        if rule == "BRACKET":
            text = re.sub(r"\\([\\\]])", r"\1", f"[{inner}]") if "\\" in inner else f"[{inner}]"
            self._add(Kind.ID, text, end + 1)
            return Kind.ID
        self._add(Kind.STRING, inner.replace("\\" + quote, quote), end + 1)
        return Kind.STRING

    def _comment(self, long: bool, start: int) -> Kind:  # noqa: FBT001
        # The dashes that open it may be those that close it: `{{!--}}` is a whole comment.
        found = _LONG_COMMENT_END.search(self.source, start - 2) if long else None
        end = (found.end() - 2 if found else -1) if long else self.source.find("}}", start)
        if end < 0:
            self._add(Kind.INVALID, "{{!", self.at)
            return Kind.INVALID
        self._add(Kind.COMMENT, self.source[self.at : end + 2], end + 2)
        return Kind.COMMENT

    def _closing(self, quote: str, start: int) -> int:
        """Find the end of a string: the first bare quote, else the last escaped one."""
        found = last = self.source.find(quote, start)
        while found > start and self.source[found - 1] == "\\":
            last = found
            found = self.source.find(quote, found + 1)
        return found if found >= 0 else last

    def _raw(self) -> None:
        source, depth = self.source, 1
        while not self._failed():
            if end := _RAW_END.match(source, self.at):
                depth -= 1
                if depth == 0:
                    self._add(Kind.END_RAW_BLOCK, end.group(1), end.end())
                    return
                self._add(Kind.CONTENT, end.group(), end.end())
            elif (
                source.startswith("{{{{", self.at) and source[self.at + 4 : self.at + 5] not in "/"
            ):
                depth += 1
                self._add(Kind.CONTENT, "{{{{", self.at + 4)
            else:
                self._raw_content()

    def _raw_content(self) -> None:
        end = self.source.find("{{{{", self.at + 1)
        if end < 0:
            self._add(Kind.INVALID, "", len(self.source))
        else:
            self._content(end, self.source[self.at : end])
