"""The tree of a template, as Handlebars.js' parser makes it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import NamedTuple, TypeAlias


class Strip(NamedTuple):
    """Whether a tag has a `~` at its start and at its end."""

    open: bool = False
    close: bool = False


@dataclass(slots=True)
class Path:
    """`../user.[first name]`, `@index`, `this`: what it says, and what it comes to."""

    at: int
    parts: tuple[str, ...]
    depth: int
    is_data: bool
    original: str
    #: Starts with `.` or says `this`: never a helper, never a block parameter.
    scoped: bool


@dataclass(slots=True)
class Literal:
    """A string, number, true, false, null or undefined."""

    at: int
    value: object


@dataclass(slots=True)
class Call:
    """A callee with what it is given: the inside of a tag or of parentheses."""

    at: int
    callee: Path | Literal | SubExpression
    params: tuple[Expression, ...] = ()
    hash: tuple[tuple[str, Expression], ...] = ()


@dataclass(slots=True)
class SubExpression:
    """A call in parentheses."""

    at: int
    call: Call


@dataclass(slots=True)
class Content:
    """Text between tags. Whitespace control shortens `value`; `original` stays."""

    at: int
    original: str
    value: str
    left_stripped: bool = False
    right_stripped: bool = False


@dataclass(slots=True)
class Comment:
    """A comment: gives no text, but may take the line it stands on with it."""

    at: int
    strip: Strip


@dataclass(slots=True)
class Mustache:
    """`{{call}}`, `{{{call}}}`, `{{&call}}`."""

    at: int
    call: Call
    escaped: bool
    strip: Strip


@dataclass(slots=True)
class Decorator:
    """`{{*name}}`: parsed as the reference does; no decorator without a block has a meaning."""

    at: int
    call: Call
    strip: Strip


@dataclass(slots=True)
class Partial:
    """`{{> name context key=value}}`, with the indent of the line if it stands alone on it."""

    at: int
    call: Call
    strip: Strip
    indent: str = ""


@dataclass(slots=True)
class Block:
    """A block with its two bodies. Of an inverted section the first is None."""

    at: int
    call: Call
    program: Program | None
    inverse: Program | None = None
    open_strip: Strip = field(default_factory=Strip)
    inverse_strip: Strip = field(default_factory=Strip)
    close_strip: Strip = field(default_factory=Strip)


@dataclass(slots=True)
class DecoratorBlock(Block):
    """`{{#*inline "name"}}…{{/inline}}`."""


@dataclass(slots=True)
class PartialBlock(Block):
    """`{{#> name}}…{{/name}}`."""


@dataclass(slots=True)
class Program:
    """A body: statements, the block parameters it declares, whether `else if` made it."""

    at: int
    body: list[Statement]
    block_params: tuple[str, ...] = ()
    chained: bool = False


Expression: TypeAlias = Path | Literal | SubExpression
Statement: TypeAlias = Content | Comment | Mustache | Decorator | Partial | Block


_LONGEST = 48


def short(name: str) -> str:
    """Cut a name that is too long for a sentence."""
    name = name.split("\n", 1)[0]
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"


def nearest(name: str, names: Iterable[str]) -> str:
    """Say which of `names` are near to `name`: `; did you mean …?`, or nothing."""
    # Comparing takes time that grows with the square of the length, so long names go without.
    close = get_close_matches(name, names, n=3, cutoff=0.6) if len(name) <= _LONGEST else []
    return f"; did you mean {' or '.join(f'`{match}`' for match in close)}?" if close else ""
