"""Functions in JavaScript, as the reference has them: `module.exports = function (event) { … }`.

Needs the extra `javascript`: an embedded engine (QuickJS) without files, network or timers. Each
call gets an engine of its own, so that nothing is left of one for the next; that takes 0.1 ms.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, Protocol

from pydantic_core import from_json, to_json

from messages.model import Document, JsonValue
from messages.saga.functions import SECONDS, Failed, Function, TooLong

MEMORY_BYTES: Final = 64 * 1024 * 1024
STACK_BYTES: Final = 256 * 1024
_AROUND: Final = """
var module = {exports: {}}, exports = module.exports;
var console = {log() {}, info() {}, warn() {}, error() {}, debug() {}};
"""
_IS_FUNCTION: Final = "typeof module.exports === 'function'"
_CALL: Final = """(function () {
    var value = module.exports(JSON.parse(command));
    if (value !== null && typeof value === 'object' && typeof value.then === 'function')
        throw new TypeError('a promise');
    return JSON.stringify(value);
})()"""
_KIND: Final = re.compile(r"[A-Za-z]{1,40}")
_LINE: Final = re.compile(r"\(?<input>:(\d+):\d+\)?")


class NoEngine(Exception):
    """The extra is not installed."""


class Unusable(Exception):
    """The file gives no function; the text says why, after its name."""


class _Engine(Protocol):
    """What is used of a context of QuickJS."""

    def set_memory_limit(self, limit: int, /) -> None: ...
    def set_time_limit(self, limit: float, /) -> None: ...
    def set_max_stack_size(self, limit: int, /) -> None: ...
    def set(self, name: str, value: str, /) -> None: ...
    def eval(self, code: str, /) -> object: ...


def javascript(path: Path, seconds: float = SECONDS) -> Function:
    """The function that a file exports.

    Raises:
        NoEngine: there is nothing to run it with.
        OSError: the file cannot be read.
        Unusable: it is no JavaScript, fails as it is loaded, or exports something else.
    """
    source = path.read_text("utf-8", errors="replace")
    try:
        import quickjs  # noqa: PLC0415 - only where a file asks for it
    except ImportError:
        raise NoEngine from None

    failure: type[Exception] = quickjs.JSException

    def loaded() -> _Engine:
        engine: _Engine = quickjs.Context()
        engine.set_memory_limit(MEMORY_BYTES)
        engine.set_max_stack_size(STACK_BYTES)
        engine.set_time_limit(seconds)
        engine.eval(_AROUND)
        engine.eval(source)
        return engine

    def attempt(event: Document) -> object:
        try:
            engine = loaded()
            engine.set("command", to_json(event).decode())
            return engine.eval(_CALL)
        except failure as error:
            return _told(str(error), path)

    def call(event: Document) -> JsonValue:
        # Raised from here, no exception's frames keep the engine beyond this call and its thread.
        returned = attempt(event)
        if isinstance(returned, Failed | TooLong):
            raise returned
        value: JsonValue = from_json(returned) if isinstance(returned, str) else None
        return value

    try:
        is_function = loaded().eval(_IS_FUNCTION)
    except failure as error:
        line, words = _LINE.search(str(error)), str(error).partition("\n")[0]
        raise Unusable(f", line {line[1] if line else '?'}: {words}") from None
    if is_function is not True:
        raise Unusable(" exports no function: module.exports = function (event) { … }")
    return call


def _told(error: str, path: Path) -> Failed | TooLong:
    """What the engine says of a failure, without words that may hold personal data."""
    if error.startswith("InternalError: interrupted"):
        return TooLong()
    kind, line = _KIND.match(error), _LINE.search(error)
    at = f", line {line[1]}" if line else ""
    return Failed(f"{_known(kind[0] if kind else '')} ({path.name}{at})")


def _known(kind: str) -> str:
    """A kind of error, if it is one: JavaScript throws anything, texts too."""
    return kind if kind.endswith("Error") else "an exception"
