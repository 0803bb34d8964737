"""What a hook tells becomes a delivery's outcome: truthfully, once, and only when it is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio
from trio.testing import MockClock

from carillon.dispatches.confirmations import PATIENCE, Confirmations
from carillon.messages.errors import TryLater
from carillon.messages.events import DeliveryConfirmed, Event
from carillon.messages.model import Outcome, Reason, Receipt
from carillon.messages.ports.handovers import Handover
from carillon.messages.ports.records import DeliveryRecord, RecordFilter, RecordPage
from tests.dispatches.fakes import FakeJournal

HANDOVER = Handover("id-1", "d-1", "push", "k2f", "user/7", "7")
SENT = DeliveryRecord(
    "id-1", "push", "7", "sent", "accepted", None, "k2f", "push/0/5", 1, 1000, 2000
)


class Desk(FakeJournal):
    """One delivery on record, of which receipts change the outcome; it answers every port."""

    def __init__(self, record: DeliveryRecord | None = SENT) -> None:
        super().__init__()
        self.delivery = record
        self.seen: list[Event] = []
        self.forgets = False

    async def add(self, handover: Handover) -> None:
        raise NotImplementedError

    async def find(self, delivery_id: str) -> Handover | None:
        await trio.lowlevel.checkpoint()
        return HANDOVER if delivery_id == "id-1" else None

    async def retire(self, before: int) -> bool:
        raise NotImplementedError

    async def deliveries(
        self, dispatch_id: str, wanted: RecordFilter, cursor: str, limit: int
    ) -> RecordPage:
        await trio.lowlevel.checkpoint()
        assert (dispatch_id, wanted) == ("d-1", RecordFilter(channel="push", user_id="7"))
        other = replace(SENT, id="id-2")
        return RecordPage([other, *([] if self.delivery is None else [self.delivery])], None)

    def record(self, receipt: Receipt) -> None:
        assert (receipt.delivery_id, receipt.key, receipt.dispatch_id) == ("id-1", "user/7", "d-1")
        if self.delivery is not None and not self.forgets:
            self.delivery = replace(
                self.delivery,
                outcome=receipt.outcome,
                reason=receipt.reason,
                error=receipt.error or None,
                provider=receipt.provider,
                attempts=receipt.attempts,
                provider_message_id=receipt.provider_message_id,
            )

    def outcome(self) -> tuple[str, str | None] | None:
        return None if self.delivery is None else (self.delivery.outcome, self.delivery.reason)


def confirmations(desk: Desk) -> Confirmations:
    return Confirmations(desk, desk, desk, desk.seen.append)  # type: ignore[arg-type]  # what it uses of Records and Journal is there


async def test_ok_confirms_what_was_sent_and_ko_refutes_it() -> None:
    first, second = Desk(), Desk()

    assert await confirmations(first).confirm("id-1", "ok")
    assert await confirmations(second).confirm("id-1", "ko")

    assert first.delivery == replace(SENT, reason="confirmed")
    assert second.outcome() == ("failed", "rejected")
    assert first.seen == [DeliveryConfirmed("id-1", "d-1", "ok")]
    assert second.seen == [DeliveryConfirmed("id-1", "d-1", "ko")]


@pytest.mark.parametrize(
    ("outcome", "reason"), [("in-doubt", "unknown-outcome"), ("failed", "exhausted")]
)
async def test_ok_ends_a_doubt(outcome: Outcome, reason: Reason) -> None:
    desk = Desk(replace(SENT, outcome=outcome, reason=reason, error="why"))

    assert await confirmations(desk).confirm("id-1", "ok")

    assert desk.outcome() == ("sent", "confirmed")


async def test_a_repeated_hook_changes_nothing() -> None:
    desk = Desk()
    for _ in range(3):
        assert await confirmations(desk).confirm("id-1", "ko")

    assert len(desk.seen) == 1


async def test_of_a_message_handed_over_twice_one_arrival_counts() -> None:
    desk = Desk()
    for verdict in ("ko", "ok", "ko"):
        assert await confirmations(desk).confirm("id-1", verdict)

    assert desk.outcome() == ("sent", "confirmed")


@pytest.mark.parametrize("verdict", ["ok", "ko"])
async def test_what_another_provider_has_sent_stays(verdict: str) -> None:
    desk = Desk(replace(SENT, provider="firebase", provider_message_id="projects/x/1"))

    assert await confirmations(desk).confirm("id-1", verdict)  # type: ignore[arg-type]

    assert desk.outcome() == ("sent", "accepted")
    assert desk.seen == []


async def test_nobody_knows_an_id_that_was_never_handed_over_or_is_retired() -> None:
    assert not await confirmations(Desk()).confirm("id-9", "ok")
    assert not await confirmations(Desk(None)).confirm("id-1", "ok")


async def test_a_hook_that_is_quicker_than_the_report_waits_for_it(
    autojump_clock: MockClock,
) -> None:
    desk = Desk(replace(SENT, outcome="pending", reason=None))

    async def report() -> None:
        await trio.sleep(1)
        desk.delivery = SENT

    async with trio.open_nursery() as nursery:
        nursery.start_soon(report)
        assert await confirmations(desk).confirm("id-1", "ok")
    assert desk.outcome() == ("sent", "confirmed")


async def test_one_that_does_not_end_is_for_a_later_call(autojump_clock: MockClock) -> None:
    desk = Desk(replace(SENT, outcome="pending", reason=None))

    with pytest.raises(TryLater, match="has not ended"):
        await confirmations(desk).confirm("id-1", "ok")
    assert trio.current_time() == pytest.approx(PATIENCE, abs=0.1)


async def test_what_cannot_be_written_is_not_said_to_be() -> None:
    desk = Desk()
    desk.forgets = True

    with pytest.raises(TryLater, match="cannot be written"):
        await confirmations(desk).confirm("id-1", "ok")
    assert desk.seen == []
