"""An envelope is answered once, and a doubt is only dispelled by an acceptance."""

from __future__ import annotations

from typing import get_args

import pytest

from carillon.messages.envelope import Envelope
from carillon.messages.model import Delivery, Outcome, Receipt, TextContent

DELIVERY = Delivery("id", "d", "sms", "user/u", "u", "+390000", "Shop", TextContent("hello"))


def envelope(receipts: list[Receipt]) -> Envelope:
    return Envelope(DELIVERY, receipts.append)


def test_the_receipt_says_what_became_of_which_delivery() -> None:
    receipts: list[Receipt] = []
    one = envelope(receipts)
    one.attempts = 3
    one.end("sent", "accepted", provider="p", message_id="m")
    assert receipts == [
        Receipt("id", "d", "sms", "user/u", "u", "sent", "accepted", "", "p", 3, "m"),
    ]
    assert one.answered


def test_the_first_answer_counts() -> None:
    receipts: list[Receipt] = []
    one = envelope(receipts)
    one.end("failed", "rejected", "no")
    one.end("sent", "accepted")
    one.expire()
    assert [receipt.outcome for receipt in receipts] == ["failed"]


@pytest.mark.parametrize("outcome", sorted(set(get_args(Outcome)) - {"pending", "skipped"}))
def test_after_an_unanswered_attempt_it_is_sent_or_in_doubt(outcome: Outcome) -> None:
    receipts: list[Receipt] = []
    one = envelope(receipts)
    one.in_doubt = True
    one.end(outcome, "unknown-outcome" if outcome == "in-doubt" else "rejected", "no", "p")
    [receipt] = receipts
    assert receipt.outcome == ("sent" if outcome == "sent" else "in-doubt")
    assert receipt.is_failure == (outcome != "sent")
    if outcome not in {"sent", "in-doubt"}:
        assert receipt.reason == "unknown-outcome"
        assert receipt.error == ("Outcome unknown: an earlier attempt was never answered; then no")


def test_an_expired_one_names_who_tried_it_last() -> None:
    receipts: list[Receipt] = []
    one = envelope(receipts)
    one.at = "p"
    one.expire()
    [receipt] = receipts
    assert (receipt.outcome, receipt.reason, receipt.provider) == ("expired", "expired", "p")
    assert receipt.error == "Expired before it could be sent"


def test_what_may_have_been_sent_does_not_end_as_expired() -> None:
    receipts: list[Receipt] = []
    one = envelope(receipts)
    one.in_doubt = True
    one.expire()
    assert [(one.outcome, one.reason) for one in receipts] == [("in-doubt", "unknown-outcome")]


def test_it_shows_no_address_and_no_text() -> None:
    shown = repr(envelope([]))
    assert "+390000" not in shown
    assert "hello" not in shown


@pytest.mark.parametrize("outcome", ["sent", "failed"])
def test_an_outcome_that_may_be_anothers_becomes_in_doubt_once(outcome: Outcome) -> None:
    receipts: list[Receipt] = []
    one = envelope(receipts)
    one.end(outcome, "accepted" if outcome == "sent" else "rejected", provider="p", message_id="m")
    for _ in range(2):
        one.doubt("p", "who knows")
    [_, late] = receipts
    assert (late.outcome, late.reason, late.error) == ("in-doubt", "unknown-outcome", "who knows")
    assert (late.late, late.replaces, late.provider_message_id) == (True, outcome, None)


def test_what_another_provider_said_stays() -> None:
    receipts: list[Receipt] = []
    one = envelope(receipts)
    one.end("sent", "accepted", provider="second")
    one.doubt("first", "who knows")
    assert [receipt.outcome for receipt in receipts] == ["sent"]


@pytest.mark.parametrize(
    ("open_attempt", "repeatable", "outcomes"),
    [(None, False, ["in-doubt"]), (None, True, []), ("p", False, [])],
)
def test_a_delivery_that_was_to_be_tried_again_is_in_doubt_unless_it_may_be_repeated(
    open_attempt: str | None, *, repeatable: bool, outcomes: list[str]
) -> None:
    """One that is being tried again already has its outcome from that."""
    receipts: list[Receipt] = []
    one = envelope(receipts)
    one.open_attempt, one.repeatable = open_attempt, repeatable
    one.doubt("p", "who knows")
    assert [receipt.outcome for receipt in receipts] == outcomes
    assert (one.in_doubt, one.at) == (True, "p")
