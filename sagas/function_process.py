"""The process in which an installation's functions run: it loads their files and answers calls.

It is started by its path in a fresh interpreter and knows nothing of the service. It imports only
the standard library, so that it starts in tens of milliseconds and never mistakes a module beside a
function's file for one of its own.

It talks in frames over two pipes: a letter, four bytes of length, then that many bytes. What a
function prints is dropped; the pipes are not its standard input and output.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import resource
import signal
import struct
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Final, NoReturn, Protocol, TypedDict

HEAD: Final = struct.Struct("!cI")
SETUP, CALL = b"s", b"c"
"""What the service sends: which files to load, once; then calls."""
LOADED, BEGUN, RETURNED, FAILED, NO_JSON, TOO_LARGE, NO_MEMORY = (
    b"l",
    b"b",
    b"r",
    b"f",
    b"j",
    b"o",
    b"m",
)
"""What the process sends: problems of the files; then for each call that it began, and its end."""

ANSWER_BYTES: Final = 4 * 1024 * 1024
DATA_BYTES: Final = 256 * 1024 * 1024
"""Most memory that a process may use for its data."""
ADDRESS_BYTES: Final = 1024 * 1024 * 1024
"""Most memory that it may map, shared memory and unused stacks included."""
_LONGEST: Final = 500

_ENGINE_BYTES: Final = 64 * 1024 * 1024
_STACK_BYTES: Final = 256 * 1024
_ENGINE_SECONDS: Final = 1.0
"""Seconds of computing. Code outside the engine's own runs on until the service kills it."""
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


class FunctionFile(TypedDict):
    """A function to load: `name` is its name in a Python file; `source` is the text of `file`."""

    name: str
    file: str
    source: str


class Setup(TypedDict):
    """What to load. The first byte of a call's frame is the function's place in `functions`.

    `folder` comes first on the module search path, `path` after everything else.
    """

    folder: str
    path: list[str]
    functions: list[FunctionFile]


Call = Callable[[str], bytes]
"""Takes a command and returns the function's result, both as JSON. Raises NotJson."""


class Unusable(Exception):
    """The file has no usable function; the text says why and follows the file's name."""


class Failed(Exception):
    """A JavaScript function failed; the text is the kind of its error and where."""


class NotJson(Exception):
    """A function returned something that JSON cannot represent."""


class _Engine(Protocol):
    """The methods of a QuickJS context that are used."""

    def set_memory_limit(self, limit: int, /) -> None: ...
    def set_time_limit(self, limit: float, /) -> None: ...
    def set_max_stack_size(self, limit: int, /) -> None: ...
    def set(self, name: str, value: str, /) -> None: ...
    def eval(self, code: str, /) -> object: ...


class Pipes:
    """The two pipes to the service; only the process that opened them may use them."""

    def __init__(self) -> None:
        self._requests, self._answers = os.dup(0), os.dup(1)
        self._owner = os.getpid()
        null = os.open(os.devnull, os.O_RDWR)
        for standard in (0, 1, 2):
            os.dup2(null, standard)
        os.register_at_fork(after_in_child=self._close)

    def receive(self) -> tuple[bytes, bytes]:
        """The next frame's letter and content; ends the process if the service is gone."""
        kind, length = HEAD.unpack(self._read(HEAD.size))
        return kind, self._read(length)

    def send(self, kind: bytes, content: bytes = b"") -> None:
        """Answer with a frame. A child that the function forked and that gets here ends."""
        if os.getpid() != self._owner:
            end()
        left = memoryview(HEAD.pack(kind, len(content)) + content)
        while left:
            left = left[os.write(self._answers, left) :]

    def _read(self, length: int) -> bytes:
        found = bytearray()
        while len(found) < length:
            part = os.read(self._requests, min(length - len(found), 1 << 20))
            if not part:
                end()
            found += part
        return bytes(found)

    def _close(self) -> None:
        os.close(self._requests)
        os.close(self._answers)


def end() -> NoReturn:
    """End at once: threads and exit handlers of a function do not run."""
    os._exit(0)


def main() -> None:
    """Serve until the service is gone."""
    pipes = Pipes()
    _end_with_parent(int(sys.argv[1]))
    _bound()
    _, content = pipes.receive()
    setup: Setup = json.loads(content)
    sys.path.insert(0, setup["folder"])
    sys.path += [entry for entry in setup["path"] if entry not in sys.path]
    calls: list[Call] = []
    problems: list[str | None] = []
    for function in setup["functions"]:
        problem = None
        try:
            calls.append(_loaded(function))
        except Unusable as unusable:
            problem = str(unusable)
        problems.append(problem)
    pipes.send(LOADED, json.dumps(problems).encode())
    while True:
        _, content = pipes.receive()
        pipes.send(BEGUN)
        pipes.send(*_outcome(calls[content[0]], content[1:]))


def _end_with_parent(life: int) -> None:
    """End, with every child that stayed in this group, when the other end of a pipe is closed.

    The kernel closes it however the service ends, and its signal ends what no thread could, such as
    a regular expression that never releases the interpreter.
    """
    os.set_inheritable(life, False)
    fcntl.fcntl(life, fcntl.F_SETOWN, -os.getpgrp())
    fcntl.fcntl(life, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
    try:
        os.read(life, 1)
    except BlockingIOError:
        return  # the pipe is open, and stays silent as long as the service lives
    end()


def _bound() -> None:
    """Limit memory, and be the first to be killed when the machine is short of it."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # sent to every process; the service decides
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for limit, most in ((resource.RLIMIT_DATA, DATA_BYTES), (resource.RLIMIT_AS, ADDRESS_BYTES)):
        _, hard = resource.getrlimit(limit)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (least, least))
    try:
        with open("/proc/self/oom_score_adj", "w") as score:  # noqa: PTH123 - pathlib is slow
            score.write("1000")
    except OSError:
        pass  # not Linux


def _outcome(call: Call, command: bytes) -> tuple[bytes, bytes]:
    try:
        answer = call(command.decode())
    except MemoryError:
        return NO_MEMORY, b""
    except NotJson:
        return NO_JSON, b""
    except BaseException as error:
        told = str(error) if isinstance(error, Failed) else _place(error)
        return FAILED, told[:_LONGEST].encode("utf-8", "replace")
    return (RETURNED, answer) if len(answer) <= ANSWER_BYTES else (TOO_LARGE, b"")


def _place(error: BaseException) -> str:
    """The kind of an exception and where it was raised; its text may hold personal data."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    at = ""
    if trace is not None:
        name = os.path.basename(trace.tb_frame.f_code.co_filename)  # noqa: PTH119
        at = f" ({name}, line {trace.tb_lineno})"
    return f"{type(error).__name__}{at}"


def _loaded(function: FunctionFile) -> Call:
    if function["file"].endswith((".js", ".cjs")):
        return _javascript(function)
    return _python(function)


def _python(function: FunctionFile) -> Call:
    called: Callable[..., object] | None = getattr(_module(function), function["name"], None)
    if not callable(called):
        raise Unusable(f" has no function {function['name']}(event)")

    def call(command: str) -> bytes:
        return _as_json(called(json.loads(command)))

    return call


def _module(function: FunctionFile) -> ModuleType:
    file = function["file"]
    name, _ = os.path.splitext(os.path.basename(file))  # noqa: PTH119, PTH122
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == file:
        return known
    module = ModuleType(name)
    module.__file__ = file
    if known is None:  # dataclasses look here; a module that has the name already keeps it
        sys.modules[name] = module
    try:
        exec(compile(function["source"], file, "exec"), module.__dict__)  # noqa: S102
    except BaseException as error:
        sys.modules.pop(name, None) if known is None else None
        raise Unusable(_load_failure(error, file)) from None
    return module


def _load_failure(error: BaseException, file: str) -> str:
    """What is wrong with a file, to follow its name; the author of the file reads it."""
    if isinstance(error, SyntaxError) and error.filename == file:
        return f", line {error.lineno}: {error.msg}"
    line, trace = 0, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == file:
            line = trace.tb_lineno
            break
        trace = trace.tb_next
    words = f"{type(error).__name__}: {error}"[:_LONGEST]
    return f", line {line}: {words}" if line else f": {words}"


def _as_json(value: object) -> bytes:
    try:
        return json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    except TypeError:
        return _as_json_of_more(value)
    except (ValueError, RecursionError):
        raise NotJson from None


def _as_json_of_more(value: object) -> bytes:
    """Dates, decimals, sets and the like as text, which the standard library cannot do."""
    from pydantic_core import to_json  # noqa: PLC0415 - few functions need it

    try:
        return to_json(value)
    except MemoryError:
        raise
    except Exception:
        raise NotJson from None


def _javascript(function: FunctionFile) -> Call:
    import quickjs  # noqa: PLC0415 - only where a file asks for it

    failure: type[Exception] = quickjs.JSException
    source, name = function["source"], os.path.basename(function["file"])  # noqa: PTH119

    def fresh() -> _Engine:
        engine: _Engine = quickjs.Context()
        engine.set_memory_limit(_ENGINE_BYTES)
        engine.set_max_stack_size(_STACK_BYTES)
        engine.set_time_limit(_ENGINE_SECONDS)
        engine.eval(_AROUND)
        engine.eval(source)
        return engine

    def call(command: str) -> bytes:
        try:
            engine = fresh()  # one a call, so that calls share no state; it takes 0.1 ms
            engine.set("command", command)
            returned = engine.eval(_CALL)
        except failure as error:
            told = _told(str(error), name)
        else:
            return returned.encode() if isinstance(returned, str) else b"null"
        raise Failed(told)

    try:
        is_function = fresh().eval(_IS_FUNCTION)
    except failure as error:
        line, words = _LINE.search(str(error)), str(error).partition("\n")[0]
        raise Unusable(f", line {line[1] if line else '?'}: {words[:_LONGEST]}") from None
    if is_function is not True:
        raise Unusable(" exports no function: module.exports = function (event) { … }")
    return call


def _told(error: str, name: str) -> str:
    """The engine's description of a failure, without text that may hold personal data."""
    kind, line = _KIND.match(error), _LINE.search(error)
    at = f", line {line[1]}" if line else ""
    # JavaScript can throw any value, strings too.
    known = kind[0] if kind and kind[0].endswith("Error") else "an exception"
    return f"{known} ({name}{at})"


if __name__ == "__main__":
    main()
