"""Groups as the redo log has them: what was written is read, and what earlier versions wrote."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from pydantic_core import from_json, to_json

from carillon.messages.model import Cursor, Receipt, delivery_id
from carillon.messages.ports.journal import AttemptEnd, AttemptStart, Progress
from carillon.stores.sqlite.journal.batch import (
    Batch,
    Enrolled,
    group_text,
    outcomes_of,
    read_group,
    starts_of,
)


def start(dispatch_id: str, key: str, number: int = 1) -> AttemptStart:
    return AttemptStart(dispatch_id, "sms", key, number, "p")


def receipt(dispatch_id: str, key: str) -> Receipt:
    identity = delivery_id(dispatch_id, "sms", key)
    return Receipt(
        identity, dispatch_id, "sms", key, f"of {key}", "sent", "accepted", "", "p", 1, f"m-{key}"
    )


STARTS = [start(one, key) for one, key in product("ab", "123")] + [start("a", "1", 2)]
RECEIPTS = [
    receipt("a", "1"),
    receipt("a", "2"),
    receipt("b", "1"),
    replace(receipt("a", "3"), provider_message_id=None),
    replace(receipt("a", "2"), outcome="in-doubt", reason="unknown-outcome", error="told twice"),
    receipt("a", "4"),
]
END = AttemptEnd("a", "sms", "9", 3, "unavailable", "busy")
ENROLLED = [
    Enrolled("a", Progress("sms", Cursor(2, "n")), ["1", "of 1", "2", "of 2"]),
    Enrolled("b", Progress("email", Cursor(0, None), is_read=True), []),
]


def attempts_in(group: Batch) -> list[AttemptStart]:
    return [
        AttemptStart(one.dispatch_id, one.channel, key, one.number, one.provider)
        for one in group.starts
        for key in one.keys
    ]


def receipts_in(group: Batch) -> list[Receipt]:
    """What the outcomes of a group say, each with the user that its key names here."""
    return [
        Receipt(
            delivery_id(one.dispatch_id, one.channel, key),
            one.dispatch_id,
            one.channel,
            key,
            f"of {key}",
            one.outcome,
            one.reason,
            one.error,
            one.provider,
            one.attempts,
            message_id or None,
        )
        for one in group.outcomes
        for key, message_id in one.pairs()
    ]


def test_what_is_written_is_read_in_its_order() -> None:
    starts, outcomes = starts_of(STARTS), outcomes_of(RECEIPTS)
    group = Batch(7, (), ENROLLED, starts, [END], outcomes, number=3, revision=5)
    found = read_group(group_text(group), 3)
    assert (found.at, found.number, found.revision) == (7, 3, 5)
    assert list(found.enrolled) == ENROLLED
    assert attempts_in(found) == STARTS
    assert list(found.ends) == [END]
    assert receipts_in(found) == RECEIPTS


def test_what_many_share_is_written_once() -> None:
    starts = starts_of(start("dispatch", str(n)) for n in range(50))
    group = Batch(7, starts=starts)
    assert group_text(group).count(b"dispatch") == 1


def test_half_a_character_from_a_provider_is_replaced() -> None:
    odd = replace(receipt("a", "1"), provider_message_id="\ud83d")
    [found] = receipts_in(read_group(group_text(Batch(7, outcomes=outcomes_of([odd]))), 1))
    assert found.provider_message_id == "?"


def test_a_group_of_an_earlier_version_has_a_row_for_each() -> None:
    starts = [(one.dispatch_id, "sms", one.key, one.number, "p") for one in STARTS]
    ended = [
        (
            one.dispatch_id,
            one.channel,
            one.key,
            one.user_id,
            one.outcome,
            one.reason,
            one.error,
            one.provider,
            one.attempts,
            one.provider_message_id,
        )
        for one in RECEIPTS
    ]
    text = to_json([7, [], starts, [], ended])
    assert len(from_json(text)) == 5, "it told no revision either"
    found = read_group(text, 1)
    assert (attempts_in(found), receipts_in(found)) == (STARTS, RECEIPTS)


def test_a_group_of_the_version_before_told_the_user_of_each_outcome_too() -> None:
    starts = [["a", "sms", 1, "p", ["1", "2"]]]
    ending = ["a", "sms", "sent", "accepted", "", "p", 1]
    outcomes = [[*ending, ["1", "of 1", "m-1", "3", "of 3", None]]]
    found = read_group(to_json([7, [], starts, [], outcomes, 5]), 1)
    assert attempts_in(found) == [start("a", "1"), start("a", "2")]
    assert receipts_in(found) == [RECEIPTS[0], RECEIPTS[3]]
    assert (found.revision, list(found.enrolled)) == (5, [])
