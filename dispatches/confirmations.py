"""Late verdicts on messages that a provider has accepted, reported through a hook: ok or ko.

Kafka2Firebase gets its messages through Kafka, which only confirms that it stored them. The hooks
of Kafka2Firebase name the delivery and nothing else, so each handover is kept under that id.
"""

from __future__ import annotations

from typing import Final, Literal

import trio

from carillon.messages.errors import TryLater
from carillon.messages.events import DeliveryConfirmed, Observer
from carillon.messages.model import Receipt
from carillon.messages.ports.handovers import Handover, Handovers
from carillon.messages.ports.journal import Journal
from carillon.messages.ports.records import DeliveryRecord, RecordFilter, Records

HookResult = Literal["ok", "ko"]

PATIENCE: Final = 5.0
"""Seconds to wait for a delivery that is confirmed while its own call still waits for an answer."""
_LOOK: Final = 0.05
_REFUSED: Final = "Firebase was not reached, or did not take it, says the hook"


class Confirmations:
    """Turns late verdicts into outcomes."""

    def __init__(
        self, handovers: Handovers, records: Records, journal: Journal, observe: Observer
    ) -> None:
        self._handovers = handovers
        self._records = records
        self._journal = journal
        self._observe = observe

    async def confirm(self, delivery_id: str, verdict: HookResult) -> bool:
        """Put a verdict on record; False if the delivery is unknown.

        The first verdict counts, except that "ok" replaces "ko": a message may have been handed
        over twice and have arrived once. If another provider has delivered meanwhile, that stays.

        Raises:
            TryLater: the delivery has not ended, or the journal cannot be used.
        """
        handover = await self._handovers.find(delivery_id)
        record = None if handover is None else await self._ended(handover)
        if handover is None or record is None:
            return False
        receipt = _receipt(handover, record, verdict)
        if receipt is not None:
            self._journal.record(receipt)
            # `record` returns before the write: the hook must be called again if it was lost.
            written = await self._find(handover)
            if written is not None and written.reason != receipt.reason:
                raise TryLater("What became of the delivery cannot be written now")
            self._observe(DeliveryConfirmed(delivery_id, handover.dispatch_id, verdict))
        return True

    async def _ended(self, handover: Handover) -> DeliveryRecord | None:
        """The delivery, once it has an outcome: the hook may be faster than Kafka's report."""
        with trio.move_on_after(PATIENCE):
            while (record := await self._find(handover)) is not None:
                if record.outcome != "pending":
                    return record
                await trio.sleep(_LOOK)
            return None
        raise TryLater("The delivery has not ended yet")

    async def _find(self, handover: Handover) -> DeliveryRecord | None:
        wanted = RecordFilter(channel=handover.channel, user_id=handover.user_id)
        page = await self._records.deliveries(handover.dispatch_id, wanted, "", 100)
        return next((one for one in page.deliveries if one.id == handover.delivery_id), None)


def _receipt(handover: Handover, record: DeliveryRecord, verdict: HookResult) -> Receipt | None:
    """The outcome that a verdict gives a delivery; None if it keeps its own."""
    is_known = record.reason == "confirmed" or (verdict == "ko" and record.error == _REFUSED)
    if is_known or (record.outcome == "sent" and record.provider != handover.provider):
        return None
    return Receipt(
        handover.delivery_id,
        handover.dispatch_id,
        handover.channel,
        handover.key,
        handover.user_id,
        outcome="sent" if verdict == "ok" else "failed",
        reason="confirmed" if verdict == "ok" else "rejected",
        error="" if verdict == "ok" else _REFUSED,
        provider=handover.provider,
        attempts=record.attempts,
        provider_message_id=record.provider_message_id,
        late=True,
    )
