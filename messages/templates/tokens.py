"""What the lexer makes of a template: the kinds of tokens, and a token."""

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
