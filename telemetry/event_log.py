"""What happens, as lines of the log: each event with its ids, and with why where it went wrong."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from carillon.messages.durations import written
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
from carillon.messages.model import FAILURES, Cause, Receipt
from carillon.telemetry.logs import describe_crash

_SAGA_LEVELS: Final[Mapping[str, int]] = {
    "accepted": logging.DEBUG,
    "postponed": logging.WARNING,
    "parked": logging.ERROR,
}


class EventLog:
    """An observer that writes events to the log; docs/logs.md lists them all."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __call__(self, event: Event) -> None:
        """Log one event."""
        # The two that every message brings come first.
        if isinstance(event, AttemptEnded):
            level = logging.DEBUG if event.result == "accepted" else logging.WARNING
            if self._logger.isEnabledFor(level):
                self._log(level, "attempt ended", **_attempt(event))
        elif isinstance(event, DeliveryEnded):
            level = logging.INFO if event.receipt.outcome in FAILURES else logging.DEBUG
            if self._logger.isEnabledFor(level):
                self._log(level, "delivery ended", **_ended(event.receipt))
        else:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        match event:
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
            case SagaCommandRefused() | SagaEventTried() | SagaCommandRead() | StreamMoved():
                self._saga(event)
            case DispatchCrashed() | DeliveryCrashed() | WorkerCrashed() | SagaEventCrashed():
                self._crash(event)
            case LimitsProposed():
                self._proposal(event)
            case _:
                self._trouble(event)

    def _proposal(self, event: LimitsProposed) -> None:
        if event.windows:
            rate = ",".join(f"{limit}/{written(per)}" for limit, per in event.windows)
            self._log(logging.INFO, "limits proposed", provider=event.provider, rate=rate)
        else:
            self._log(logging.WARNING, "limits unknown", provider=event.provider, why=event.why)

    def _trouble(self, event: Event) -> None:
        match event:
            case DeliveryDoubted(receipt):
                self._log(
                    logging.WARNING,
                    "delivery doubted",
                    **_delivery(receipt),
                    was=receipt.replaces,
                    why=receipt.error,
                )
            case DeliveryConfirmed(delivery_id, dispatch_id, verdict):
                self._log(
                    logging.INFO,
                    "delivery confirmed",
                    dispatchId=dispatch_id,
                    deliveryId=delivery_id,
                    verdict=verdict,
                )
            case ConnectionsLacking(provider, error):
                self._log(
                    logging.ERROR,
                    "connections lacking",
                    provider=provider,
                    kind="own-limit",
                    why=error,
                )
            case DirectoryFailed(dispatch_id, error):
                self._log(logging.ERROR, "directory unavailable", dispatchId=dispatch_id, why=error)
            case BreakerMoved():
                self._log(logging.WARNING, "breaker moved", **_move(event))
            case ProviderThrottled(provider, seconds, why):
                self._log(
                    logging.WARNING,
                    "provider throttled",
                    provider=provider,
                    seconds=round(seconds, 3),
                    why=why,
                )
            case StoreMoved("troubled", store, why):
                self._log(logging.ERROR, "store cannot be written", store=store, why=why)
            case StoreMoved(_, store, _):
                self._log(logging.INFO, "store can be written again", store=store)
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

    def _saga(
        self, event: SagaCommandRefused | SagaEventTried | SagaCommandRead | StreamMoved
    ) -> None:
        match event:
            case SagaCommandRefused(key, why):
                self._log(logging.WARNING, "saga command refused", sagaKey=key, why=why)
            case SagaEventTried(event_id, result, attempts, why):
                level = _SAGA_LEVELS[result]
                self._log(
                    level,
                    "saga event",
                    eventId=event_id,
                    result=result,
                    attempts=attempts,
                    why=why or None,
                )
            case SagaCommandRead(place, result, reason):
                skipped = result == "skipped" and reason != "other-label"
                level = logging.WARNING if skipped else logging.DEBUG
                self._log(level, "saga command", place=place, result=result, reason=reason)
            case StreamMoved(state, detail):
                level = logging.INFO if state == "joined" else logging.WARNING
                self._log(level, "command stream", state=state, detail=detail)

    def _crash(
        self, event: DispatchCrashed | DeliveryCrashed | WorkerCrashed | SagaEventCrashed
    ) -> None:
        err = describe_crash(event.error)
        match event:
            case WorkerCrashed(channel, _, delivery_id):
                self._log(
                    logging.ERROR,
                    "worker crashed",
                    channel=channel,
                    deliveryId=delivery_id,
                    err=err,
                )
            case DeliveryCrashed(delivery_id, dispatch_id, channel, _):
                self._log(
                    logging.ERROR,
                    "delivery crashed",
                    dispatchId=dispatch_id,
                    deliveryId=delivery_id,
                    channel=channel,
                    err=err,
                )
            case DispatchCrashed(dispatch_id, _):
                self._log(logging.ERROR, "dispatch crashed", dispatchId=dispatch_id, err=err)
            case SagaEventCrashed(event_id, _):
                self._log(logging.ERROR, "saga event crashed", eventId=event_id, err=err)

    def _log(self, level: int, message: str, **fields: object) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, message, extra={"fields": fields})


def _delivery(receipt: Receipt) -> dict[str, object]:
    return {
        "dispatchId": receipt.dispatch_id,
        "deliveryId": receipt.delivery_id,
        "channel": receipt.channel,
        "provider": receipt.provider,
    }


def _ended(receipt: Receipt) -> dict[str, object]:
    """Leaves out the error of a rendering: a helper may quote the values it was given."""
    fields = _delivery(receipt) | {
        "outcome": receipt.outcome,
        "reason": receipt.reason,
        "attempts": receipt.attempts,
    }
    if receipt.is_failure:
        fields |= _cause(receipt.cause)
        fields["why"] = None if receipt.reason == "not-renderable" else receipt.error or None
    return fields


def _attempt(event: AttemptEnded) -> dict[str, object]:
    fields: dict[str, object] = {
        "dispatchId": event.dispatch_id,
        "deliveryId": event.delivery_id,
        "channel": event.channel,
        "provider": event.provider,
        "result": event.result,
        "responseTime": round(event.seconds * 1000, 1),
        "status": event.status,
        "kind": event.kind,
    }
    return fields | {"why": event.error} if event.error else fields


def _move(event: BreakerMoved) -> dict[str, object]:
    fields: dict[str, object] = {"provider": event.provider, "state": event.state}
    fields["why"] = event.why or None
    if event.state == "open":
        fields |= {"failures": event.failures, **_cause(event.cause)}
    return fields


def _cause(cause: Cause | None) -> dict[str, object]:
    if cause is None:
        return {"kind": None, "status": None}
    return {"kind": cause.kind, "status": cause.status}
