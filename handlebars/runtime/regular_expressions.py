"""JavaScript's regular expressions on RE2, which takes linear time whatever the pattern.

RE2 is imported when a template uses the first one. Look-ahead, look-behind and references back
can't be had in linear time: they are an error, and so is what JavaScript refuses.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Protocol, cast

from carillon.handlebars.helpers.units import whole
from carillon.handlebars.runtime.values import JS_SPACE

_FLAGS = frozenset("dgimsuvy")
_MEMORY = 4 << 20
_SPACE_CLASS = "".join(f"\\x{{{ord(char):x}}}" for char in JS_SPACE)
_LAST_CHAR = 0x10FFFF
_HALF = re.compile("[\ud800-\udfff]")
_PIECE = re.compile(
    r"\\(?:u\{[0-9A-Fa-f]+\}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|c[A-Za-z]|k<[^>]*>|[pP]\{[^}]*\}|.)"
    r"|\(\?(?::|<[A-Za-z_$][\w$]*>|<?[=!]|.?)|\[\^?\]?|.",
    re.DOTALL,
)
_SAME = frozenset("dDwWbBtnrfv")
_CONTROLS = 32


class _Compiled(Protocol):
    """What of RE2's pattern objects is used."""

    def search(self, text: str) -> object: ...
    def match(self, text: str) -> object: ...


class RegularExpression(str):
    """A value of a template: a compiled expression, which shows as `/source/flags`."""

    __slots__ = ("_compiled", "_sticky")
    #: What `typeOf` says of it.
    kind = "regexp"

    _compiled: _Compiled
    _sticky: bool

    @classmethod
    def compile(cls, source: str, flags: str) -> RegularExpression:
        """Compile an expression.

        Raises:
            ValueError: it is none, or can't be searched for in linear time.
        """
        if len(set(flags)) < len(flags) or not set(flags) <= _FLAGS:
            raise ValueError(f"`{flags[:10]}` are no flags of a regular expression")
        shown = _shown(source)
        ordered = "".join(sorted(flags))
        expression = cls(f"/{shown}/{ordered}")
        expression._compiled = _compile(_translated(source, flags), flags)
        expression._sticky = "y" in flags
        return expression

    def is_in(self, text: str) -> bool:
        """Tell whether `text` has what the expression describes."""
        text = _HALF.sub("\ufffd", whole(text))
        found = self._compiled.match(text) if self._sticky else self._compiled.search(text)
        return found is not None


def linear_search(pattern: str, *, ignore_case: bool) -> Callable[[str], bool]:
    """Make a test of texts by a pattern in RE2's own dialect.

    Raises:
        ValueError: it is none.
    """
    compiled = _compile(pattern, "i" if ignore_case else "")
    return lambda text: compiled.search(_HALF.sub("\ufffd", whole(text))) is not None


def _shown(source: str) -> str:
    """The source as JavaScript shows it: a slash outside of brackets ends no expression."""
    out, in_class = [], False
    for piece in _PIECE.findall(source):
        if in_class:
            in_class = not (piece[0] != "\\" and piece.endswith("]"))
        elif piece == "/":
            piece = "\\/"  # noqa: PLW2901
        else:
            in_class = piece in {"[", "[^"}
        out.append(piece)
    return "".join(out).replace("\n", "\\n") or "(?:)"


def _compile(pattern: str, flags: str) -> _Compiled:
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415

    options = re2.Options()
    options.max_mem = _MEMORY
    options.log_errors = False
    options.case_sensitive = "i" not in flags
    try:
        return cast(_Compiled, re2.compile(pattern, options))
    except re2.error as error:
        reason = error.args[0] if error.args else ""
        reason = reason.decode() if isinstance(reason, bytes) else str(reason)
        raise ValueError(f"this is no regular expression: {reason[:80]}") from None


def _translated(source: str, flags: str) -> str:
    """Write an expression in RE2's dialect."""
    any_char = "(?s:.)" if "s" in flags else r"[^\n\r\x{2028}\x{2029}]"
    parts = ["(?m)" if "m" in flags else ""]
    in_class = False
    for piece in _PIECE.findall(_HALF.sub("\ufffd", whole(source))):
        if piece[0] == "\\":
            parts.append(_escape(piece, flags, in_class=in_class))
        elif in_class:
            # A bracket in brackets is nothing special to JavaScript, and is to RE2.
            parts.append(piece.replace("[", "\\["))
            in_class = not piece.endswith("]")
        elif piece == "[]":
            parts.append(r"[^\x00-\x{10FFFF}]")
        else:
            in_class = piece in {"[", "[^"}
            parts.append(_outside(piece, any_char))
    return "".join(parts)


def _outside(piece: str, any_char: str) -> str:
    if piece == ".":
        return any_char
    if piece == "[^]":
        return "(?s:.)"
    return _group(piece) if piece.startswith("(?") else piece


def _group(piece: str) -> str:
    if piece in {"(?=", "(?!", "(?<=", "(?<!"}:
        raise ValueError(f"`{piece}` can't be searched for in linear time, and is not offered")
    if piece != "(?:" and not piece.startswith("(?<"):
        raise ValueError(f"`{piece}` is no group")
    # Names serve nothing here, and JavaScript's are richer than RE2's.
    return "(?:" if piece == "(?:" else "("


def _escape(piece: str, flags: str, *, in_class: bool) -> str:
    name, rest = piece[1:2], piece[2:]
    if not name:
        raise ValueError("it ends with a backslash")
    if name in {"s", "S"}:
        return _space(name, in_class=in_class)
    if name in _SAME:
        return r"\x08" if in_class and name == "b" else piece
    if rest[:1] == "{" and not set(flags) & set("uv"):
        # Without those flags it is a letter and how often it comes.
        return piece[1:]
    if rest and name in "uxc":
        code = ord(rest) % _CONTROLS if name == "c" else int(rest.strip("{}"), 16)
        return f"\\x{{{code:x}}}"
    if name == "0":
        return r"\x00"
    if (name.isdigit() and name.isascii()) or name == "k":
        raise ValueError(f"`{piece}` refers back, which can't be searched for in linear time")
    return piece if rest else re.escape(name)


def _space(name: str, *, in_class: bool) -> str:
    if not in_class:
        return f"[{'^' if name == 'S' else ''}{_SPACE_CLASS}]"
    return _NO_SPACE_CLASS if name == "S" else _SPACE_CLASS


def _ranges_between(chars: Iterable[str]) -> str:
    """All that is not among these characters, as ranges of a class."""
    edges = sorted(map(ord, chars))
    starts, ends = [0, *(edge + 1 for edge in edges)], [*(edge - 1 for edge in edges), _LAST_CHAR]
    pairs = [(start, end) for start, end in zip(starts, ends, strict=True) if start <= end]
    return "".join(f"\\x{{{start:x}}}-\\x{{{end:x}}}" for start, end in pairs)


_NO_SPACE_CLASS = _ranges_between(JS_SPACE)
