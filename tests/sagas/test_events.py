"""Which event a saga gets, by policy, and what stands in it."""

from __future__ import annotations

import pytest

from carillon.dispatches.collector import Failure, Report
from carillon.messages.errors import BadCommand, FunctionFailed, Stopping
from carillon.messages.model import Document, Outcome
from carillon.messages.ports.outbox import SagaEvent
from carillon.sagas.events import (
    EventRules,
    Origin,
    Policy,
    event_of,
    has_succeeded,
    origin_of,
    refusal_of,
)

ORIGIN = Origin("S-7", "tell")
RULES = EventRules("done", "failed")


def report(**counts: int) -> Report:
    named: dict[Outcome, int] = {
        "sent": counts.get("sent", 0),
        "failed": counts.get("failed", 0),
        "skipped": counts.get("skipped", 0),
        "in-doubt": counts.get("in_doubt", 0),
    }
    failures = [Failure(f"u{n}", "sms", "No") for n in range(named["failed"])]
    return Report("d-1", failures, len(failures), 0, named)


@pytest.mark.parametrize(
    ("policy", "counts", "success"),
    [
        ("started", {"failed": 9}, True),
        ("all", {"sent": 9, "skipped": 1}, True),
        ("all", {"sent": 9, "failed": 1}, False),
        ("all", {"sent": 9, "in_doubt": 1}, False),
        ("all", {}, True),
        ("any", {"sent": 1, "failed": 9}, True),
        ("any", {"failed": 9}, False),
        ("any", {"skipped": 9}, False),
        (0.5, {"sent": 5, "failed": 5}, True),
        (0.5, {"sent": 4, "failed": 5}, False),
        (0.5, {"sent": 1, "failed": 1, "skipped": 9}, True),
        (1, {"sent": 5}, True),
        (0.7, {"sent": 7, "failed": 3}, True),
        (1, {"sent": 5, "in_doubt": 1}, False),
        (0.1, {}, True),
    ],
)
def test_policies(policy: Policy, counts: dict[str, int], success: bool) -> None:  # noqa: FBT001
    known = report(**counts)
    assert has_succeeded(policy, known.counts) is success
    event = event_of(EventRules("done", "failed", policy), ORIGIN, known)
    assert event == SagaEvent("d-1", "S-7", "done" if success else "failed", {}, "d-1")


def test_without_a_label_there_is_no_event() -> None:
    assert event_of(EventRules(fail_label="failed"), ORIGIN, report(sent=1)) is None
    assert event_of(EventRules("done", policy="all"), ORIGIN, report(failed=1)) is None
    assert refusal_of(EventRules("done"), "S-7", BadCommand("no")) is None


def test_a_summary_stands_under_one_key_and_is_bounded() -> None:
    event = event_of(EventRules("done", summary=True), ORIGIN, report(sent=2, failed=300))
    assert event is not None
    assert list(event.payload) == ["carillon"]
    told = event.payload["carillon"]
    assert isinstance(told, dict)
    failures = told.pop("failures")
    assert told == {
        "dispatchId": "d-1",
        "counts": {"sent": 2, "failed": 300},
        "failuresTotal": 300,
    }
    assert isinstance(failures, list)
    assert len(failures) == 100
    assert failures[0] == {"userId": "u0", "channel": "sms", "error": "No"}


def test_a_refusal_is_a_fail_event_of_its_own() -> None:
    one, other = (refusal_of(RULES, "S-7", BadCommand("no")) for _ in range(2))
    assert one is not None
    assert other is not None
    assert (one.key, one.label, one.payload, one.dispatch_id) == ("S-7", "failed", {}, None)
    assert one.id != other.id


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        (BadCommand("no"), "400", "no"),
        (Stopping("no"), "503", "no"),
        (FunctionFailed("no"), "500", "no"),
        (OSError("secret"), "500", "Internal error"),
    ],
)
def test_a_refusal_with_a_summary_says_why(error: Exception, status: str, message: str) -> None:
    event = refusal_of(EventRules(fail_label="failed", summary=True), "S-7", error, "d-1")
    assert event is not None
    assert event.payload == {"carillon": {"error": {"statusCode": status, "message": message}}}
    assert (event.id, event.dispatch_id) == ("d-1", "d-1")


def test_an_origin_survives_as_a_document() -> None:
    assert origin_of(ORIGIN.document()) == ORIGIN


@pytest.mark.parametrize(
    "document", [None, {}, {"saga": 1}, {"saga": {"key": 1, "label": "l"}}, {"webhook": {}}]
)
def test_another_origin_is_no_saga(document: Document | None) -> None:
    assert origin_of(document) is None
