"""JSON logs, one object a line, with the field names that Mia-Platform services use.

Levels are numbers (10 trace … 60 fatal), times are milliseconds since 1970. Ids of dispatches and
deliveries are logged; user ids, addresses, texts and secrets never are. An exception's own words
may quote any of them, so a crash is logged by its type and the places it passed.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
import traceback
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Final

from messages.events import (
    AttemptEnded,
    BreakerMoved,
    ChannelQuarantined,
    ConnectionsLacking,
    DeliveryConfirmed,
    DeliveryCrashed,
    DeliveryDoubted,
    DeliveryEnded,
    DirectoryFailed,
    DispatchAccepted,
    DispatchCrashed,
    DispatchEnded,
    DispatchResumed,
    Event,
    SagaCommandRead,
    SagaEventTried,
    StreamMoved,
    WorkerCrashed,
    WorkerStuck,
)
from messages.redaction import without_secrets

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
_SAGA_LEVELS: Final[Mapping[str, int]] = {
    "accepted": logging.DEBUG,
    "postponed": logging.WARNING,
    "parked": logging.ERROR,
}
_PINO: Final[Mapping[int, int]] = {
    TRACE: 10,
    logging.DEBUG: 20,
    logging.INFO: 30,
    logging.WARNING: 40,
    logging.ERROR: 50,
    logging.CRITICAL: 60,
}


def _message(record: logging.LogRecord) -> str:
    """Its text; what is wrong may be told in the words of others, who quote URLs."""
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


class _Logger(logging.Logger):
    """Does not look for the line of code that logs: no line shows it, and it takes a while."""

    def findCaller(  # noqa: N802 - overridden
        self,
        stack_info: bool = False,  # noqa: FBT001
        stacklevel: int = 1,
    ) -> tuple[str, int, str, None]:
        return "", 0, "", None


class _LineWriter(logging.StreamHandler[IO[str]]):
    """Writes lines to a stream, and drops what the stream does not take: nobody waits for a log.

    The standard one would complain to stderr about each line, and raise when that is closed, too.
    """

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(Exception):
            line = self.format(record)
            try:
                self.stream.write(line + self.terminator)
            except UnicodeEncodeError:  # half a character, or a stream that is not in UTF-8
                self.stream.write(json.dumps(json.loads(line)) + self.terminator)
            self.flush()


def make_logger(level: str, stream: IO[str]) -> logging.Logger:
    """The service's logger, writing to a stream. `level` is a name of the configuration."""
    logging.addLevelName(TRACE, "TRACE")
    logger = _Logger("carillon", _LEVELS[level])  # no global registry
    handler = _LineWriter(stream)
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
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
    """Let the process end well whether or not anybody reads what it wrote.

    Python writes what is left when it ends, and its exit code is 120 if that fails.
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


class EventLog:
    """An observer that writes events to the log."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __call__(self, event: Event) -> None:
        """Log one event."""
        match event:
            case DeliveryEnded(receipt):
                level = logging.INFO if receipt.is_failure else logging.DEBUG
                if not self._logger.isEnabledFor(level):
                    return
                self._log(
                    level,
                    "delivery ended",
                    dispatchId=receipt.dispatch_id,
                    deliveryId=receipt.delivery_id,
                    channel=receipt.channel,
                    outcome=receipt.outcome,
                    reason=receipt.reason,
                    provider=receipt.provider,
                    attempts=receipt.attempts,
                )
            case AttemptEnded():
                self._attempt(event)
            case DispatchAccepted(dispatch_id, channels):
                self._log(
                    logging.DEBUG, "dispatch accepted", dispatchId=dispatch_id, channels=channels
                )
            case DispatchResumed(dispatch_id, channels):
                self._log(
                    logging.INFO, "dispatch resumed", dispatchId=dispatch_id, channels=channels
                )
            case DispatchEnded(dispatch_id, counts, seconds):
                self._log(
                    logging.INFO,
                    "dispatch ended",
                    dispatchId=dispatch_id,
                    counts=counts,
                    seconds=round(seconds, 3),
                )
            case DeliveryDoubted() | ConnectionsLacking():
                self._wire(event)
            case _:
                self._trouble(event)

    def _wire(self, event: DeliveryDoubted | ConnectionsLacking) -> None:
        match event:
            case DeliveryDoubted(receipt):
                self._log(
                    logging.WARNING,
                    "delivery doubted",
                    dispatchId=receipt.dispatch_id,
                    deliveryId=receipt.delivery_id,
                    channel=receipt.channel,
                    provider=receipt.provider,
                    was=receipt.replaces,
                    why=receipt.error,
                )
            case ConnectionsLacking(provider, error):
                self._log(logging.ERROR, "connections lacking", provider=provider, why=error)

    def _attempt(self, event: AttemptEnded) -> None:
        level = logging.DEBUG if event.result == "accepted" else logging.WARNING
        if not self._logger.isEnabledFor(level):
            return
        self._log(
            level,
            "attempt ended",
            dispatchId=event.dispatch_id,
            deliveryId=event.delivery_id,
            channel=event.channel,
            provider=event.provider,
            result=event.result,
            responseTime=round(event.seconds * 1000, 1),
        )

    def _trouble(self, event: Event) -> None:
        match event:
            case DirectoryFailed(dispatch_id, error):
                self._log(logging.ERROR, "directory unavailable", dispatchId=dispatch_id, why=error)
            case BreakerMoved(provider, state):
                self._log(logging.WARNING, "breaker moved", provider=provider, state=state)
            case WorkerStuck(channel, provider, seconds, delivery_id):
                self._log(
                    logging.ERROR,
                    "worker stuck",
                    channel=channel,
                    provider=provider,
                    deliveryId=delivery_id,
                    heldFor=round(seconds, 3),
                )
            case ChannelQuarantined(channel, restarts):
                self._log(
                    logging.CRITICAL, "channel quarantined", channel=channel, restarts=restarts
                )
            case SagaEventTried(event_id, result, attempts):
                level = _SAGA_LEVELS[result]
                self._log(level, "saga event", eventId=event_id, result=result, attempts=attempts)
            case DeliveryConfirmed(delivery_id, dispatch_id, verdict):
                self._log(
                    logging.INFO,
                    "delivery confirmed",
                    dispatchId=dispatch_id,
                    deliveryId=delivery_id,
                    verdict=verdict,
                )
            case SagaCommandRead(place, result, reason):
                skipped = result == "skipped" and reason != "other-label"
                level = logging.WARNING if skipped else logging.DEBUG
                self._log(level, "saga command", place=place, result=result, reason=reason)
            case StreamMoved(state, detail):
                level = logging.INFO if state == "joined" else logging.WARNING
                self._log(level, "command stream", state=state, detail=detail)
            case _:
                self._crash(event)

    def _crash(self, event: Event) -> None:
        match event:
            case WorkerCrashed(channel, error, delivery_id):
                self._log(
                    logging.ERROR,
                    "worker crashed",
                    channel=channel,
                    deliveryId=delivery_id,
                    err=describe_crash(error),
                )
            case DeliveryCrashed(delivery_id, dispatch_id, channel, error):
                self._log(
                    logging.ERROR,
                    "delivery crashed",
                    dispatchId=dispatch_id,
                    deliveryId=delivery_id,
                    channel=channel,
                    err=describe_crash(error),
                )
            case DispatchCrashed(dispatch_id, error):
                self._log(
                    logging.ERROR,
                    "dispatch crashed",
                    dispatchId=dispatch_id,
                    err=describe_crash(error),
                )

    def _log(self, level: int, message: str, **fields: object) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, message, extra={"fields": fields})
