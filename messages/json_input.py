"""JSON from outside: what is accepted, and how a large text is read without blocking others.

A short text is parsed in one call. A long one is read piece by piece, so that the thread that reads
it releases the interpreter every few milliseconds: a single parser call on 16 MB holds it for half
a second. The number of values bounds what the reader builds; a list that may be longer (the
recipients of a request) is kept as text.
"""

from __future__ import annotations

import json
import math
import re
from typing import Final, NoReturn, cast

from pydantic_core import from_json, to_json

from carillon.handlebars.runtime.garbage import collecting_nothing
from carillon.messages.document_list import DocumentList
from carillon.messages.errors import BadCommand
from carillon.messages.json_bounds import MOST_LEVELS, Bounds, TooManyValues
from carillon.messages.json_keys import RepeatedKey, refuse_repeated
from carillon.messages.model import Document, JsonValue
from carillon.messages.string_list import StringList

LONGEST_ID: Final = 4096
"""Characters of a recipient's id, which is a key in the journal and part of queries."""
SHORT: Final = 262_144
"""Bytes of a text that is parsed in one call: that takes up to 10 ms."""
_QUICK: Final = 2_097_152
"""Bytes of a text that is parsed in one call if it holds few values."""
_FEW: Final = 10_000
_SLICE: Final = 65_536
_BLOCK: Final = 16_384
_LONGEST_NUMBER: Final = 5000
_KEPT_PARSED: Final = 4096
_USUAL: Final = Bounds()

# Only a text with one of these can hold a forbidden key (which may be written with escapes), a
# number that overflows, or an empty container too deep. All are searched for at the speed of C.
_KEYS: Final = re.compile(rb"__proto__|constructor|\\u00[3-7]")
_NUMBERS: Final = re.compile(rb"[0-9][eE]\+?[0-9]{3}|[0-9]{309}")
_SPACED_EMPTY: Final = re.compile(rb"\[\s+\]|\{\s+\}")
_STRING: Final = re.compile(rb'"(?:[^"\\]++|\\.)*+"')
_EMPTY: Final = re.compile(rb"\[\s*+\]|\{\s*+\}")

_TOKEN: Final = re.compile(
    rb'[ \t\n\r]{0,4096}+(?:"([^"\\\x00-\x1f]{0,256}+)"|([-+.0-9A-Za-z]{1,5001}+)|([\[\]{},:"]))'
)
_SPACE: Final = re.compile(rb"[ \t\n\r]{1,4096}+")
# Whole characters and escapes only, so that a piece may end after any of them.
_PIECE: Final = re.compile(
    rb'(?:[^"\\\x00-\x1f\x80-\xff]++|[\xc0-\xdf][\x80-\xbf]|[\xe0-\xef][\x80-\xbf]{2}'
    rb"|[\xf0-\xf7][\x80-\xbf]{3}|\\u(?![dD][89abAB])[0-9a-fA-F]{4}"
    rb'|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\["\\/bfnrt])++'
)
_ITEMS: Final = re.compile(rb'(?:[ \t\n\r]{0,64}+"(?:[^"\\\x00-\x1f]++|\\.)*+"[ \t\n\r]{0,64}+,)++')
_FORBIDDEN: Final = frozenset({"__proto__", "constructor", "prototype"})
_WORDS: Final[dict[bytes, JsonValue]] = {b"true": True, b"false": False, b"null": None}


class JsonText:
    """A JSON object that is kept as text and parsed when it is used."""

    __slots__ = ("text",)

    def __init__(self, text: bytes) -> None:
        self.text = text

    def __bool__(self) -> bool:
        return self.text not in {b"{}", b""}

    def __len__(self) -> int:
        """The number of its bytes."""
        return len(self.text)

    def value(self) -> Document:
        """The object, parsed again on each call."""
        if len(self.text) <= _QUICK and _holds_few(self.text):
            with collecting_nothing():
                value: Document = from_json(self.text)
                return value
        with collecting_nothing():
            return cast("Document", _Reader(self.text, Bounds(len(self.text))).whole())


def read_json(data: bytes, bounds: Bounds = _USUAL) -> object:
    """The value of a JSON text in UTF-8: plain JSON values, except what `bounds` keeps as text.

    Raises:
        BadCommand: The text is not JSON, or is beyond the bounds.
    """
    with collecting_nothing():
        if len(data) > SHORT:
            return _Reader(data, bounds).whole()
        value = _parsed(data, bounds)
        if bounds.unique_keys:
            _refuse_repeated(data)
        if len(data) > _KEPT_PARSED and isinstance(value, dict):
            node = value if bounds.inside is None else value.get(bounds.inside)
            if isinstance(node, dict):
                _keep_as_text(node, bounds)
    return value


def as_text(value: Document) -> Document | JsonText:
    """The object as text, unless it is short: parsed it may take thirty times the memory."""
    text = to_json(value)
    return JsonText(text) if len(text) > _KEPT_PARSED else value


def as_string_list(value: object) -> object:
    """A list of texts as one text; any other value is returned as it is."""
    if isinstance(value, list) and value and all(type(one) is str for one in value):
        return StringList.of(value)
    return value


def as_documents(value: object) -> object:
    """A list of objects as one text; any other value is returned as it is."""
    if isinstance(value, list) and value and all(type(one) is dict for one in value):
        return DocumentList(map(to_json, value), _documents)
    return value


def _documents(block: bytes) -> list[Document]:
    return cast("list[Document]", JsonText(b'{"":[' + block + b"]}").value()[""])


def _keep_as_text(node: dict[str, object], bounds: Bounds) -> None:
    part = None if bounds.kept is None else node.get(bounds.kept)
    if bounds.kept is not None and isinstance(part, dict):
        node[bounds.kept] = as_text(part)
    for name in bounds.lists:
        node[name] = as_string_list(node.get(name))
    for name in bounds.documents & node.keys():
        node[name] = as_documents(node[name])


def _parsed(data: bytes, bounds: Bounds) -> object:
    """A short text in one call."""
    if len(data) > 2 * bounds.values:
        _refuse_many(data, bounds)
    try:
        value: object = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        if bounds.levels > MOST_LEVELS:
            return _Reader(data, bounds).whole()
        raise BadCommand(f"The body is not valid JSON: {error}") from None
    if bounds.levels == MOST_LEVELS:
        _refuse_depth(data)
    has_keys = not bounds.any_key and _KEYS.search(data)
    has_numbers = _NUMBERS.search(data)
    if has_keys or has_numbers:
        json.loads(
            data.decode(),
            object_hook=_refuse_keys if has_keys else None,
            parse_float=_refuse_infinity if has_numbers else None,
        )
    return value


def _refuse_repeated(data: bytes) -> None:
    try:
        refuse_repeated(data)
    except RepeatedKey as error:
        raise BadCommand(f"The body: {error}") from None


def _holds_few(text: bytes) -> bool:
    """Whether a text surely holds few values: there are no more than commas and brackets."""
    return sum(map(text.count, (b",", b"[", b"{"))) <= _FEW


def _refuse_many(data: bytes, bounds: Bounds) -> None:
    """Refuse more values than are allowed, counted in a text that may not even be JSON."""
    bare = _EMPTY.sub(b"0", _STRING.sub(b"0", data))
    values = 1 + bare.count(b",") + bare.count(b"[") + bare.count(b"{")
    if values > bounds.values:
        _Reader(data, bounds).whole()  # it knows which values do not count


def _refuse_depth(data: bytes) -> None:
    """Refuse an empty container one level too deep, which the parser lets pass."""
    filled = data.replace(b"[]", b"[0]").replace(b"{}", b"[0]")
    filled, spaced = _SPACED_EMPTY.subn(b"[0]", filled)
    if spaced or len(filled) != len(data):
        try:
            from_json(filled)
        except ValueError:
            raise _too_deep() from None


def _refuse_infinity(number: str) -> float:
    value = float(number)
    if not math.isfinite(value):
        raise BadCommand("The body is not valid JSON: a number is too large")
    return value


def _refuse_keys(node: dict[str, object]) -> dict[str, object]:
    if "__proto__" in node:
        raise BadCommand("The body has the forbidden key __proto__")
    constructor = node.get("constructor")
    if isinstance(constructor, dict) and "prototype" in constructor:
        raise BadCommand("The body has the forbidden key constructor.prototype")
    return node


def _too_deep() -> BadCommand:
    return BadCommand(f"The body is nested deeper than {MOST_LEVELS} levels")


class _Reader:
    """Reads one long text, a token at a time; `_at` is its position."""

    def __init__(self, data: bytes, bounds: Bounds) -> None:
        self._data = data
        self._bounds = bounds
        self._left = bounds.values
        self._at = 0
        self._level = 0
        self._names: dict[bytes, str] = {}
        self._longest = 0
        self._checks_only = False  # values are checked and dropped, nothing is built

    def whole(self) -> object:
        """The value of the whole text. Raises BadCommand."""
        value = self._value(self._token(), is_root=True)
        self._skip_space()
        if self._at != len(self._data):
            self._fail("trailing characters")
        return value

    def _fail(self, what: str) -> NoReturn:
        raise BadCommand(f"The body is not valid JSON: {what} at byte {self._at}")

    def _skip_space(self) -> None:
        while found := _SPACE.match(self._data, self._at):
            self._at = found.end()

    def _token(self) -> re.Match[bytes]:
        found = _TOKEN.match(self._data, self._at)
        if found is None:
            self._skip_space()
            found = _TOKEN.match(self._data, self._at)
        if found is None:
            is_end = self._at >= len(self._data)
            self._fail("it ends too early" if is_end else "something unexpected")
        self._at = found.end()
        return found

    def _mark(self) -> bytes:
        """The next token, which should be a punctuation mark; empty if it is not."""
        return self._token()[3] or b""

    def _value(self, token: re.Match[bytes], *, is_root: bool = False) -> object:
        self._left -= 1
        if self._left < 0:
            raise TooManyValues(
                f"The body holds more than {self._bounds.values:,} JSON values (limits.values)"
            )
        if token.lastindex == 2:  # noqa: PLR2004 - see _TOKEN
            return self._literal(token[2])
        if token.lastindex == 1 or token[3] == b'"':
            return self._string(token)
        if token[3] in {b"{", b"["}:
            self._level += 1
            if self._level > self._bounds.levels:
                raise _too_deep()
            value = self._object(is_root=is_root) if token[3] == b"{" else self._list()
            self._level -= 1
            return value
        self._at = token.start(3)
        return self._fail("a value is missing")

    def _literal(self, text: bytes) -> JsonValue:
        if text in _WORDS:
            return _WORDS[text]
        if len(text) > _LONGEST_NUMBER:
            self._fail("a number is too long")
        try:
            value: int | float = from_json(text, allow_inf_nan=False)
        except ValueError:
            self._fail("this is no value, or a number that is too long")
        if isinstance(value, float) and not math.isfinite(value):
            self._fail("a number is too large")
        return value

    def _string(self, token: re.Match[bytes]) -> str:
        if (plain := token[1]) is not None:
            return self._decoded(plain)
        pieces: list[str] = []
        while found := _PIECE.match(self._data, self._at, self._at + _SLICE):
            piece = self._decoded(found[0])
            if not (self._checks_only and pieces):
                pieces.append(piece)
            self._at = found.end()
        if self._data[self._at : self._at + 1] != b'"':
            self._fail("a text is cut off, or has what no text may have")
        self._at += 1
        return "".join(pieces)

    def _name(self, token: re.Match[bytes]) -> str:
        """A key, cached: the same keys come again and again."""
        short = token[1]
        if short is None:
            return self._string(token)
        name = self._names.get(short)
        if name is None:
            name = self._names[short] = self._decoded(short)
        return name

    def _decoded(self, piece: bytes) -> str:
        try:
            if b"\\" in piece:
                text: str = from_json(b'"' + piece + b'"')
                return text
            return piece.decode()
        except ValueError:
            self._fail("a text is no UTF-8, or has half a character")

    def _list(self) -> list[object]:
        items: list[object] = []
        token = self._token()
        if token[3] == b"]":
            return items
        while True:
            item = self._value(token)
            if not self._checks_only:
                items.append(item)
            mark = self._mark()
            if mark == b"]":
                return items
            if mark != b",":
                self._fail("a comma or a bracket is missing")
            token = self._token()

    def _object(self, *, is_root: bool) -> dict[str, object]:
        node: dict[str, object] = {}
        token = self._token()
        if token[3] == b"}":
            return node
        while True:
            if token.lastindex != 1 and token[3] != b'"':
                self._fail("a key is missing")
            name = self._name(token)
            if self._mark() != b":":
                self._fail("a colon is missing")
            value = self._member(name) if is_root else self._value(self._token())
            if not self._checks_only or name in _FORBIDDEN:
                node[name] = value
            mark = self._mark()
            if mark == b"}":
                return node if self._bounds.any_key else _refuse_keys(node)
            if mark != b",":
                self._fail("a comma or a brace is missing")
            token = self._token()

    def _member(self, name: str) -> object:
        """The value under a name of the outermost object, as text where the bounds say so."""
        token, inside = self._token(), self._bounds.inside
        if inside is not None and self._level == 1:
            return self._value(token, is_root=name == inside)
        if name in self._bounds.lists and token[3] == b"[":
            return self._strings(name)
        if name in self._bounds.documents and token[3] == b"[":
            return self._objects(name)
        if name != self._bounds.kept or token[3] != b"{":
            return self._value(token)
        return JsonText(self._checked(token))

    def _checked(self, token: re.Match[bytes]) -> bytes:
        """The text of an object that is valid, and is not built."""
        start = token.start(3)
        self._checks_only = True
        self._value(token)
        self._checks_only = False
        return self._data[start : self._at]

    def _objects(self, name: str) -> DocumentList | list[object]:
        """A list that must hold only objects."""
        token, texts = self._token(), list[bytes]()
        if token[3] == b"]":
            return []
        self._level += 1
        while True:
            if token[3] != b"{":
                raise BadCommand(f"{name}[{len(texts)}] must be an object")
            texts.append(self._checked(token))
            mark = self._mark()
            if mark == b"]":
                self._level -= 1
                return DocumentList(texts, _documents)
            if mark != b",":
                self._fail("a comma or a bracket is missing")
            token = self._token()

    def _strings(self, name: str) -> StringList:
        """A list that must hold only texts."""
        token = self._token()
        if token[3] == b"]":
            return StringList(())
        self._at = token.start()
        blocks: list[tuple[bytes, int]] = []
        while True:
            if found := _ITEMS.match(self._data, self._at, self._at + _BLOCK):
                blocks.append(self._block(found[0][:-1]))
                self._at = found.end()
                continue
            token = self._token()
            start = token.start(3) if token[1] is None else token.start(1) - 1
            if token.lastindex != 1 and token[3] != b'"':
                raise BadCommand(f"{name}[{len(StringList(blocks))}] must be a string")
            if len(self._string(token)) > LONGEST_ID:
                at = len(StringList(blocks))
                raise BadCommand(f"{name}[{at}] must have at most {LONGEST_ID:,} characters")
            blocks.append(self._block(self._data[start : self._at]))
            mark = self._mark()
            if mark == b"]":
                return StringList(blocks, self._longest)
            if mark != b",":
                self._fail("a comma or a bracket is missing")

    def _block(self, text: bytes) -> tuple[bytes, int]:
        try:
            items: list[str] = from_json(b"[" + text + b"]")
        except ValueError:
            self._fail("a text is no UTF-8, or has half a character")
        self._longest = max(self._longest, *map(len, items))
        return text, len(items)
