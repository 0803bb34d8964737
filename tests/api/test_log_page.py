"""docs/logs.md names every line that the service can write, with its level's fields."""

from __future__ import annotations

import ast
import io
import json
import logging
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import pytest

from carillon.messages.events import (
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
    LimitsProposed,
    ProviderThrottled,
    SagaCommandRead,
    SagaCommandRefused,
    SagaEventCrashed,
    SagaEventTried,
    StoreMoved,
    StreamMoved,
    WorkerCrashed,
    WorkerStuck,
)
from carillon.messages.model import Cause, Receipt
from carillon.telemetry.event_log import EventLog
from carillon.telemetry.logs import make_logger
from tests.test_architecture import FILES, ROOT

PAGE = (ROOT / "docs" / "logs.md").read_text()
ROWS = {
    row[1]: line
    for line in PAGE.splitlines()
    if (row := re.match(r"\| `([^`]+)` \| ", line)) is not None
}
METHODS = {"debug": 0, "info": 0, "warning": 0, "error": 0, "critical": 0, "log": 1}
OURS = {"_log": 1, "_tell": 1}

RECEIPT = Receipt(
    "d1", "d0", "sms", "user/u", "u", "failed", "exhausted", "no", cause=Cause("refused")
)
BUG = RuntimeError("a bug")
EVENTS: Sequence[Event] = (
    DispatchAccepted("d0", ["sms"]),
    DispatchResumed("d0", ["sms"]),
    DispatchEnded("d0", {"sent": 1}, 1.0),
    DispatchCrashed("d0", BUG),
    DeliveryCrashed("d1", "d0", "sms", BUG),
    DirectoryFailed("d0", "away"),
    DeliveryEnded(RECEIPT),
    DeliveryDoubted(RECEIPT),
    AttemptEnded("d1", "d0", "sms", "p", "refused", 0.1, "answered 401", 401, "http-4xx"),
    BreakerMoved("p", "open", "connection refused", 10, Cause("refused")),
    BreakerMoved("p", "closed", "the provider answers"),
    ProviderThrottled("p", 2.0, "answered 429"),
    LimitsProposed("p", ((14, 1.0),), ""),
    LimitsProposed("p", (), "no answer"),
    StoreMoved("troubled", "carillon.db", "database or disk is full"),
    StoreMoved("mended", "carillon.db"),
    ConnectionsLacking("p", "too many open files"),
    WorkerCrashed("sms", BUG, "d1"),
    WorkerStuck("sms", "p", 40.0, "d1"),
    ChannelQuarantined("sms", 5, BUG),
    SagaEventTried("e1", "parked", 1, "answered 400"),
    SagaEventCrashed("e1", BUG),
    SagaCommandRefused("ORD-42", "channels is required"),
    DeliveryConfirmed("d1", "d0", "ok"),
    SagaCommandRead("topic/0/1", "skipped", "no-key"),
    StreamMoved("troubled", "no broker"),
)


def messages(file: Path) -> Iterator[str]:
    """What a file logs in fixed words; `…` stands for what is put in."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        name, on = node.func.attr, ast.unparse(node.func.value)
        place = METHODS.get(name) if on.endswith("logger") else OURS.get(name)
        if place is None or len(node.args) <= place:
            continue
        for part in ast.walk(node.args[place]):
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield re.sub(r"%s", "…", part.value)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_line_of_the_code_is_on_the_page(file: Path) -> None:
    found = {text for text in messages(file) if not text.isidentifier() or text in ROWS}
    assert found <= ROWS.keys()


def test_lines_are_found() -> None:
    found = {text for file in FILES for text in messages(file)}
    assert {"attempt ended", "request completed", "listening on …", "connection ended"} <= found


def test_every_event_has_a_line_whose_fields_are_on_the_page() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    for event in EVENTS:
        log = io.StringIO()
        EventLog(make_logger("trace", log))(event)
        (text,) = log.getvalue().splitlines()
        line = json.loads(text)
        row = ROWS[line["msg"]]
        for name in line.keys() - {"level", "time", "pid", "hostname", "msg"}:
            assert f"`{name}`" in row, f"{line['msg']}: {name}"


def test_no_row_is_stale() -> None:
    found = {text for file in FILES for text in messages(file)}
    kinds = {row for row in ROWS if re.fullmatch(r"[a-z]+(-[a-z0-9]+)?", row)}
    known = found | kinds
    assert {row for row in ROWS if row not in known} == set()


def test_levels_are_those_of_the_page() -> None:
    quiet = io.StringIO()
    observe = EventLog(make_logger("info", quiet))
    observe(AttemptEnded("d1", "d0", "sms", "p", "accepted", 0.1, status=200))
    observe(DispatchAccepted("d0", ["sms"]))
    assert quiet.getvalue() == ""
    assert logging.getLevelName(logging.INFO) == "INFO"
