"""Logs: JSON, one object a line with the field names of Mia-Platform's services, or text.

Levels are numbers (10 trace … 60 fatal), times are milliseconds since 1970. Ids of dispatches and
deliveries are logged; user ids, addresses, texts and secrets never are. An exception's own words
may quote any of them, so a crash is logged by its type and the places it passed.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import IO, Final, Literal

from carillon.messages.redaction import without_secrets

TRACE: Final = 5
_LEVELS: Final[Mapping[str, int]] = {
    "trace": TRACE,
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
    "silent": logging.CRITICAL + 1,
}
_WORD: Final = re.compile(r"[\w./:@+-]+")
_PINO: Final[Mapping[int, int]] = {
    TRACE: 10,
    logging.DEBUG: 20,
    logging.INFO: 30,
    logging.WARNING: 40,
    logging.ERROR: 50,
    logging.CRITICAL: 60,
}


def _message(record: logging.LogRecord) -> str:
    """The text of a record without secrets: errors of libraries may quote URLs."""
    text = record.getMessage()
    return without_secrets(text) if record.levelno >= logging.WARNING else text


class JsonLines(logging.Formatter):
    """One JSON object a record; `extra={"fields": {...}}` adds to it."""

    def __init__(self) -> None:
        super().__init__()
        self._pid = os.getpid()
        self._hostname = socket.gethostname()
        self._encode = json.JSONEncoder(ensure_ascii=False, default=str).encode

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its line break."""
        line: dict[str, object] = {
            "level": _PINO.get(record.levelno, 30),
            "time": int(record.created * 1000),
            "pid": self._pid,
            "hostname": self._hostname,
            "msg": _message(record),
        }
        fields = getattr(record, "fields", None)
        if isinstance(fields, dict):
            line.update(fields)
        if record.exc_info and record.exc_info[1] is not None:
            line["err"] = describe_crash(record.exc_info[1])
        return self._encode(line)

    def in_ascii(self, line: str) -> str:
        """The same line, for a stream that cannot write it as it is."""
        return json.dumps(json.loads(line))


class TextLines(logging.Formatter):
    """A line a record, for people; a crash has the places that it passed below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its line break; what came from outside cannot begin another one."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(" ", "milliseconds")
        parts = [at.removesuffix("+00:00"), f"{record.levelname:8}", _shown(_message(record))]
        fields = getattr(record, "fields", None)
        below: list[str] = []
        for name, value in fields.items() if isinstance(fields, dict) else ():
            if name == "err":
                below = _crash_lines(value)
            elif value is not None:
                parts.append(f"{name}={_value(value)}")
        if record.exc_info and record.exc_info[1] is not None:
            below = _crash_lines(describe_crash(record.exc_info[1]))
        return "\n    ".join(["  ".join(parts), *below])

    def in_ascii(self, line: str) -> str:
        """The same line, for a stream that cannot write it as it is."""
        return line.encode("ascii", "backslashreplace").decode()


def _shown(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _value(value: object) -> str:
    if isinstance(value, str) and _WORD.fullmatch(value):
        return value
    return _shown(json.dumps(value, ensure_ascii=False, default=str))


def _crash_lines(described: object) -> list[str]:
    """The output of `describe_crash`, one line a frame; the crashes of a group in sequence."""
    if not isinstance(described, Mapping):
        return []
    lines = [str(described.get("type")), *(f"  {place}" for place in described.get("stack", ()))]
    for inner in described.get("errors", ()):
        lines += _crash_lines(inner)
    return [_shown(line) for line in lines]


class _Logger(logging.Logger):
    """Does not look for the line of code that logs: no line shows it, and it takes a while."""

    def findCaller(  # noqa: N802 - overridden
        self,
        stack_info: bool = False,  # noqa: FBT001
        stacklevel: int = 1,
    ) -> tuple[str, int, str, None]:
        return "", 0, "", None


class _LineWriter(logging.StreamHandler[IO[str]]):
    """Writes lines to a stream, and drops what the stream does not take: logging never blocks.

    The standard handler would report each lost line on stderr, and raise if stderr is closed too.
    """

    def __init__(self, stream: IO[str], lines: JsonLines | TextLines) -> None:
        super().__init__(stream)
        self.setFormatter(lines)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            line = self.format(record)
            try:
                self.stream.write(line + self.terminator)
            except UnicodeEncodeError:  # half a character, or a stream that is not in UTF-8
                self.stream.write(self._lines.in_ascii(line) + self.terminator)
            self.flush()


def make_logger(
    level: str, stream: IO[str], form: Literal["json", "text"] = "json"
) -> logging.Logger:
    """The service's logger, writing to a stream. `level` is a name of the configuration."""
    logging.addLevelName(TRACE, "TRACE")
    logger = _Logger("carillon", _LEVELS[level])  # no global registry
    logger.addHandler(_LineWriter(stream, JsonLines() if form == "json" else TextLines()))
    return logger


def log_what_nobody_catches(logger: logging.Logger) -> None:
    """Have errors of threads and finalizers logged, which Python would print with their words."""

    def in_thread(told: threading.ExceptHookArgs) -> None:
        logger.error("thread crashed", exc_info=told.exc_value)

    def in_finalizer(told: sys.UnraisableHookArgs) -> None:
        logger.error("finalizer crashed", exc_info=told.exc_value)

    threading.excepthook = in_thread
    sys.unraisablehook = in_finalizer


def leave(stream: IO[str]) -> None:
    """Let the process end well even if the reader of its output is gone.

    Python flushes the rest when it ends, and exits with code 120 if that fails.
    """
    try:
        stream.flush()
    except OSError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except ValueError:
        pass  # it is closed already


def describe_crash(error: BaseException) -> Mapping[str, object]:
    """An exception's type and the places it passed, without its own words."""
    described: dict[str, object] = {
        "type": type(error).__name__,
        "stack": [
            f"{frame.filename}:{frame.lineno} in {frame.name}"
            for frame in traceback.extract_tb(error.__traceback__)
        ],
    }
    if isinstance(error, BaseExceptionGroup):
        described["errors"] = [describe_crash(inner) for inner in error.exceptions]
    return described


class ObserverFailures:
    """Logs what observers raise: for each kind of event the 1st, 2nd, 4th, 8th … of their failures.

    One that raises at every message would fill the log as quickly as messages are sent.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._failures: Counter[str] = Counter()

    def __call__(self, told: object, error: Exception) -> None:
        """Log one failure, or count it."""
        kind = type(told).__name__
        self._failures[kind] += 1
        number = self._failures[kind]
        if number & (number - 1) == 0:
            fields = {"event": kind, "failures": number, "err": describe_crash(error)}
            self._logger.error("observer failed", extra={"fields": fields})
