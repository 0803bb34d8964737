"""The event that ends a command for its saga: success or fail, if it is configured.

Pure functions: they take the rules, the origin of a dispatch and its report, and return an event or
None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal
from uuid import uuid4

from carillon.dispatches.collector import Report
from carillon.messages.errors import BadCommand, CarillonError, TryLater
from carillon.messages.model import FAILURES, Document, JsonValue, Outcome
from carillon.messages.ports.outbox import SagaEvent

Policy = Literal["started", "all", "any"] | float
"""What counts as success; a number is the share of deliveries that must be sent."""

MOST_FAILURES: Final = 100
"""Most failures in a summary, which the saga keeps in its metadata."""
OWN_KEY: Final = "carillon"
"""Payloads are merged into the saga's metadata, so everything of ours is under this one key."""


@dataclass(frozen=True, slots=True)
class EventRules:
    """What the configuration says about events; without its label an event is not sent."""

    success_label: str | None = None
    fail_label: str | None = None
    policy: Policy = "started"
    summary: bool = False


@dataclass(frozen=True, slots=True)
class Origin:
    """The command that a dispatch came from, as far as its event needs it."""

    key: str = field(repr=False)
    label: str

    def document(self) -> Document:
        """The form in which the journal keeps it with the dispatch."""
        return {"saga": {"key": self.key, "label": self.label}}


def origin_of(document: Document | None) -> Origin | None:
    """The origin of a dispatch, if that was a saga."""
    saga = None if document is None else document.get("saga")
    if not isinstance(saga, dict):
        return None
    key, label = saga.get("key"), saga.get("label")
    return Origin(key, label) if isinstance(key, str) and isinstance(label, str) else None


def event_of(rules: EventRules, origin: Origin, report: Report) -> SagaEvent | None:
    """The event of a dispatch that has ended."""
    success = has_succeeded(rules.policy, report.counts)
    label = rules.success_label if success else rules.fail_label
    if label is None:
        return None
    payload: Document = {OWN_KEY: _summary(report)} if rules.summary else {}
    return SagaEvent(report.dispatch_id, origin.key, label, payload, report.dispatch_id)


def refusal_of(
    rules: EventRules,
    key: str,
    error: Exception,
    dispatch_id: str | None = None,
    *,
    identity: str | None = None,
) -> SagaEvent | None:
    """The fail event of a command that was not carried out, or of a dispatch that a bug ended.

    Its id is that of the dispatch, or `identity`, or a new one.
    """
    if rules.fail_label is None:
        return None
    status = 400 if isinstance(error, BadCommand) else 503 if isinstance(error, TryLater) else 500
    message = str(error) if isinstance(error, CarillonError) else "Internal error"
    told: JsonValue = {"statusCode": str(status), "message": message}
    payload: Document = {OWN_KEY: {"error": told}} if rules.summary else {}
    event_id = dispatch_id or identity or str(uuid4())
    return SagaEvent(event_id, key, rules.fail_label, payload, dispatch_id, message)


def has_succeeded(policy: Policy, counts: Mapping[Outcome, int]) -> bool:
    """Whether a dispatch with these outcomes is a success.

    Users without the address that a channel needs count neither as sent nor as failed. If nothing
    failed and nothing was sent, every policy but `any` is satisfied.
    """
    sent = counts.get("sent", 0)
    failed = sum(counts.get(outcome, 0) for outcome in FAILURES)
    match policy:
        case "started":
            return True
        case "all":
            return not failed
        case "any":
            return sent > 0
        case share:
            return sent >= share * (sent + failed) - 1e-9  # 0.7 of 10 is a little more than 7


def _summary(report: Report) -> Document:
    counts: Document = {outcome: number for outcome, number in report.counts.items() if number}
    failures: list[JsonValue] = [
        {"userId": one.user_id, "channel": one.channel, "error": one.error}
        for one in report.failures[:MOST_FAILURES]
    ]
    return {
        "dispatchId": report.dispatch_id,
        "counts": counts,
        "failures": failures,
        "failuresTotal": report.failures_total,
    }
