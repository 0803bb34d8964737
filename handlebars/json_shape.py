"""Whether a template can become a JSON object at all, found without rendering it.

The text between tags is read by an automaton of JSON that may be in several states at once: a block
is shown or not, or many times. A tag may stand for any text that stays in its place: within a
string for a part of it; outside for a value, which is no string where `{{…}}` escapes it; `{{{…}}}`
for anything whose brackets are in balance. Where no state is left the text cannot be JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from carillon.handlebars.runtime.calls import callee_path, helper_name, makes_text
from carillon.handlebars.runtime.paths import BlockParams
from carillon.handlebars.runtime.registry import Helper
from carillon.handlebars.syntax.nodes import (
    Block,
    Content,
    DecoratorBlock,
    Mustache,
    Partial,
    PartialBlock,
    Program,
)

_SPACE: Final = frozenset(" \t\r\n")
_DIGITS: Final = frozenset("0123456789")
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_SCALAR: Final = frozenset("0123456789.eE+-truefalsn")
_CONTROL: Final = frozenset(map(chr, range(32)))
_WORDS: Final = {"t": "rue", "f": "alse", "n": "ull"}
_BRACKETS: Final = {"{": "first", "[": "item"}
_ANY_VALUE: Final = frozenset('{["-0123456789tfn')
#: How a value may begin, by what stands before it.
_MAY_BEGIN: Final[Mapping[str, frozenset[str]]] = {
    "object": frozenset("{"),
    "member": frozenset("{n"),
    "value": _ANY_VALUE,
    "item": _ANY_VALUE,
}
#: What a number may be, and what follows.
_NUMBER: Final[Mapping[str, Mapping[str, str]]] = {
    "-": {"0": "0", "1": "9"},
    "0": {".": ".", "e": "e"},
    "9": {"1": "9", "0": "9", ".": ".", "e": "e"},
    ".": {"0": ".9", "1": ".9"},
    ".9": {"0": ".9", "1": ".9", "e": "e"},
    "e": {"+": "e+", "0": "e9", "1": "e9"},
    "e+": {"0": "e9", "1": "e9"},
    "e9": {"0": "e9", "1": "e9"},
}
_WHOLE: Final = frozenset({"0", "9", ".9", "e9", "scalar"})
#: Members of the outermost object that must be objects, or null.
_OBJECTS: Final = frozenset({"android", "apns"})
_MOST_STATES, _DEEPEST, _LONGEST_KEY = 400, 100, 8


class _State(NamedTuple):
    """Where in JSON a text stands: the open brackets, and what may come.

    `rest` is what is left of a word such as `true`, and in a key of the outermost object its text.
    """

    open: str
    mode: str
    rest: str = ""


_States = frozenset[_State]


class Impossible(NamedTuple):
    """Why no JSON object comes of a template, and where in it."""

    message: str
    at: int


class _Doubt(Exception):
    """There are too many ways to follow."""


def impossible(program: Program, helpers: Mapping[str, Helper]) -> Impossible | None:
    """Why it is sure that no JSON object comes of a template; None if one may come.

    `program` has had its white space stripped.
    """
    shape = _Shape(helpers)
    try:
        ends = shape.program(program, frozenset({_State("", "object")}))
    except _Doubt:
        return None
    if any(one.open == "" and one.mode == "after" for one in ends):
        return None
    if not ends:
        return Impossible(f"no JSON comes of this: {shape.found} can't stand here", shape.at)
    if any(one.mode != "object" for one in ends):
        return Impossible("no JSON comes of this: it ends too early", shape.at)
    hint = ": `{{…}}` escapes its quotes, `{{{…}}}` leaves them" if shape.is_escaped_whole else ""
    return Impossible(f"no JSON object comes of this{hint}", shape.at)


class _Shape:
    def __init__(self, helpers: Mapping[str, Helper]) -> None:
        #: The farthest place that was reached, and what stands there.
        self.at = 0
        self.found = ""
        #: Does `{{…}}` stand where the object would?
        self.is_escaped_whole = False
        self._helpers = helpers
        self._params = BlockParams()

    def program(self, program: Program | None, states: _States) -> _States:
        """Follow a body."""
        if program is None:
            return states
        self._params.enter(program.block_params)
        for node in program.body:
            match node:
                case Content():
                    states = self._content(node, states)
                case Mustache():
                    change = _escaped if node.escaped else _bare
                    self.is_escaped_whole |= node.escaped and any(not one.open for one in states)
                    states = frozenset(to for one in states for to in change(one))
                case DecoratorBlock():
                    pass
                case Partial() | PartialBlock():
                    states = frozenset(to for one in states for to in _bare(one))
                case Block():
                    states = self._block(node, states)
            if len(states) > _MOST_STATES:
                raise _Doubt
            if states:
                self.at = max(self.at, node.at)
        self._params.leave()
        return states

    def _block(self, node: Block, states: _States) -> _States:
        if makes_text(node.call, self._params, self._helpers):
            return frozenset(to for one in states for to in _escaped(one))
        otherwise = self.program(node.inverse, states)
        if helper_name(callee_path(node.call)) in {"if", "unless", "with"}:
            return self.program(node.program, states) | otherwise
        found, new = states, states
        while new:
            new = self.program(node.program, new) - found
            found |= new
            if len(found) > _MOST_STATES:
                raise _Doubt
        return found | otherwise

    def _content(self, node: Content, states: _States) -> _States:
        start = node.at + max(0, node.original.find(node.value))
        for index, char in enumerate(node.value if states else ""):
            after = frozenset(to for one in states if (to := _step(one, char)) is not None)
            if not after:
                if start + index >= self.at:
                    self.at, self.found = start + index, _shown(char)
                    if all(one.mode == "member" for one in states):
                        self.found = f"`android` and `apns` are objects, and {self.found}"
                return after
            states = after
        return states


def _shown(char: str) -> str:
    if char in _CONTROL:
        return "a line break" if char in "\r\n" else "a control character"
    return f"`{char}`"


def _escaped(state: _State) -> list[_State]:
    """What may come of `{{…}}`: no quote."""
    opened, mode, _ = state
    if mode in _IN_STRING:
        return [_unsure(state)]
    changed = {
        "value": ["scalar", "after"],
        "item": ["scalar", "after"],
        "member": ["scalar", "after"],
        "colon": ["value"],
        "after": [_next(opened)],
    }.get(mode, [])
    if mode in _NUMBER or mode in {"word", "scalar"}:
        changed = ["scalar"]
    if not opened:
        changed = []
    return [state, *(_State(opened, one) for one in changed)]


def _bare(state: _State) -> list[_State]:
    """What may come of `{{{…}}}`: anything with its brackets in balance."""
    opened = state.open
    modes = ["value", "scalar", "after"]
    if opened.endswith("{"):
        modes += ["first", "next", "colon"]
    elif opened.endswith("["):
        modes += ["item"]
    here = _unsure(state) if state.mode in _IN_STRING else state
    return [here, *(_State(opened, mode) for mode in modes)]


def _unsure(state: _State) -> _State:
    """In a string after a value, which may end an escape; a key is not known any more."""
    return _State(state.open, state.mode.partition("\\")[0], "?")


def _next(opened: str) -> str:
    return "next" if opened.endswith("{") else "value"


_IN_STRING: Final = frozenset(
    kind + place
    for kind in ("key", "name", "text")
    for place in ("", "\\", "\\u1", "\\u2", "\\u3", "\\u4")
)


def _step(state: _State, char: str) -> _State | None:
    """Where a character leads, if it may stand there."""
    mode = state.mode
    if mode in _IN_STRING:
        return _in_string(state, char)
    if mode == "word":
        return _in_word(state, char)
    if mode in _NUMBER or mode == "scalar":
        return _in_number(state, char)
    return state if char in _SPACE else _between(state, char)


def _between(state: _State, char: str) -> _State | None:
    """What may stand where space may stand too."""
    opened, mode, rest = state
    if mode == "after":
        return _after(opened, char)
    if mode == "colon":
        wanted = "member" if rest in _OBJECTS else "value"
        return _State(opened, wanted) if char == ":" else None
    if mode in {"first", "next"} and char == '"':
        return _State(opened, "key" if opened == "{" else "name")
    if mode in _MAY_BEGIN and char in _MAY_BEGIN[mode]:
        return _begun(opened, char)
    return _closed(opened, char) if mode in {"first", "item"} else None


def _begun(opened: str, char: str) -> _State | None:
    """A value begins."""
    if char in _BRACKETS:
        return _deeper(opened, char, _BRACKETS[char])
    if char in _WORDS:
        return _State(opened, "word", _WORDS[char])
    if char == "-" or char in _DIGITS:
        return _State(opened, char if char in "-0" else "9")
    return _State(opened, "text") if char == '"' else None


def _in_word(state: _State, char: str) -> _State | None:
    opened, _, rest = state
    if char != rest[:1]:
        return None
    return _State(opened, "word", rest[1:]) if rest[1:] else _State(opened, "after")


def _deeper(opened: str, char: str, mode: str) -> _State:
    if len(opened) >= _DEEPEST:
        raise _Doubt
    return _State(opened + char, mode)


def _closed(opened: str, char: str) -> _State | None:
    pair = opened[-1:] + char
    return _State(opened[:-1], "after") if pair in {"{}", "[]"} else None


def _after(opened: str, char: str) -> _State | None:
    if char == "," and opened:
        return _State(opened, _next(opened))
    return _closed(opened, char)


def _in_number(state: _State, char: str) -> _State | None:
    opened, mode, _ = state
    if mode == "scalar" and char in _SCALAR:
        return state
    kind = "1" if char in "123456789" else "e" if char in "eE" else "+" if char in "+-" else char
    follows = _NUMBER.get(mode, {}).get(kind)
    if follows is not None:
        return _State(opened, follows)
    if mode not in _WHOLE:
        return None
    return _State(opened, "after") if char in _SPACE else _after(opened, char)


def _in_string(state: _State, char: str) -> _State | None:
    opened, mode, rest = state
    kind, escape, place = mode.partition("\\")
    if escape:
        return _in_escape(state, kind, place, char)
    if char == '"':
        return _State(opened, "after") if kind == "text" else _State(opened, "colon", rest)
    if char in _CONTROL:
        return None
    if kind != "key":
        return _State(opened, kind + char if char == "\\" else kind)
    if char == "\\":
        return _State(opened, "key\\", "?")
    return _State(opened, kind, (rest + char)[: _LONGEST_KEY + 1])


def _in_escape(state: _State, kind: str, place: str, char: str) -> _State | None:
    opened, _, rest = state
    if place:
        left = int(place[1]) - 1
        after = f"{kind}\\u{left}" if left else kind
        return _State(opened, after, rest) if char in _HEX else None
    if char == "u":
        return _State(opened, kind + "\\u4", rest)
    return _State(opened, kind, rest) if char in '"\\/bfnrt' else None
