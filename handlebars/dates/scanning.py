"""The tokens of V8's parser of dates: numbers, words, spaces, signs, all else one by one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto

from carillon.handlebars.runtime.values import JS_SPACE

_TOKEN = re.compile(f"([0-9]+)|([^\\0-@{JS_SPACE}]+)|([{JS_SPACE}]+)|(.)", re.DOTALL)
_MOST_DIGITS = 9
_PREFIX = 3


class Kind(Enum):
    """What a token is."""

    NUMBER = auto()
    WORD = auto()
    SPACE = auto()
    SYMBOL = auto()
    END = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """A token: of a number its value, of a word its first three letters."""

    kind: Kind
    text: str = ""
    number: int = 0
    #: How many characters it has.
    length: int = 0

    def is_symbol(self, *symbols: str) -> bool:
        """Tell whether it is one of these characters."""
        return self.kind is Kind.SYMBOL and self.text in symbols

    def is_fixed(self, length: int) -> bool:
        """Tell whether it is a number of so many digits."""
        return self.kind is Kind.NUMBER and self.length == length

    def is_word(self, word: str) -> bool:
        """Tell whether it is just this word."""
        return self.kind is Kind.WORD and self.text == word and self.length == len(word)


class Scanner:
    """Gives the tokens of a text one by one. What stands in parentheses is an odd symbol."""

    __slots__ = ("_index", "_tokens")

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._index = 0

    @property
    def peek(self) -> Token:
        """Give the token that comes next."""
        return self._tokens[self._index]

    def next(self) -> Token:
        """Take the token that comes next."""
        token = self._tokens[self._index]
        self._index = min(self._index + 1, len(self._tokens) - 1)
        return token

    def skip(self, symbol: str) -> bool:
        """Take the token that comes next if it is this character."""
        found = self.peek.is_symbol(symbol)
        if found:
            self.next()
        return found


def _tokens(text: str) -> list[Token]:
    tokens = []
    depth = 0
    for found in _TOKEN.finditer(text):
        piece = found[0]
        if depth or piece == "(":
            depth += (piece == "(") - (piece == ")")
            if not depth:
                tokens.append(Token(Kind.SYMBOL, "()"))
        elif found[1]:
            # Leading zeros do not count; what is beyond nine digits is dropped.
            number = int(piece.lstrip("0")[:_MOST_DIGITS] or "0")
            tokens.append(Token(Kind.NUMBER, piece, number, len(piece)))
        elif found[2]:
            tokens.append(Token(Kind.WORD, piece[:_PREFIX].lower(), 0, len(piece)))
        elif found[3]:
            tokens.append(Token(Kind.SPACE, " "))
        else:
            tokens.append(Token(Kind.SYMBOL, piece))
    if depth:
        tokens.append(Token(Kind.SYMBOL, "()"))
    return [*tokens, Token(Kind.END)]
