"""What becomes of a message after its provider took it, told by somebody later: ok or ko.

Kafka2Firebase is handed a message by Kafka, which only says that it has it. Its hooks name the
delivery, and nothing else: so what was handed over is kept under the delivery's id.
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
"""Seconds for a delivery to end that is confirmed while its own call still waits for an answer."""
_LOOK: Final = 0.05
_REFUSED: Final = "Firebase was not reached, or did not take it, says the hook"


class Confirmations:
    """Turns what is told later into outcomes."""

    def __init__(
        self, handovers: Handovers, records: Records, journal: Journal, observe: Observer
    ) -> None:
        self._handovers = handovers
        self._records = records
        self._journal = journal
        self._observe = observe

    async def confirm(self, delivery_id: str, verdict: HookResult) -> bool:
        """Put a verdict on record; False when nobody knows the delivery.

        The first one counts, but "ok" also after "ko": of a message that was handed over twice one
        may have arrived. What another provider has delivered meanwhile stays as it is.

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
            written = await self._find(handover)
            if written is not None and written.reason != receipt.reason:
                raise TryLater("What became of the delivery cannot be written now")
            self._observe(DeliveryConfirmed(delivery_id, handover.dispatch_id, verdict))
        return True

    async def _ended(self, handover: Handover) -> DeliveryRecord | None:
        """The delivery, once it has an outcome: the hook may be quicker than Kafka's report."""
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
    """The outcome that a delivery gets by a verdict; None where it keeps its own."""
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
