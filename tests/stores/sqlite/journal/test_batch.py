"""Groups as the redo log has them: what was written is read, and what earlier versions wrote."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from pydantic_core import from_json, to_json

from carillon.messages.model import Receipt, delivery_id
from carillon.messages.ports.journal import AttemptEnd, AttemptStart
from carillon.stores.sqlite.journal.batch import Batch, group_text, read_group


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


def test_what_is_written_is_read_in_its_order() -> None:
    group = Batch(7, (), STARTS, [END, *RECEIPTS], number=3, revision=5)
    found = read_group(group_text(group), 3)
    assert (found.at, found.number, found.revision) == (7, 3, 5)
    assert list(found.starts) == STARTS
    assert list(found.ends) == [END, *RECEIPTS]


def test_what_many_share_is_written_once() -> None:
    group = Batch(7, (), [start("dispatch", str(n)) for n in range(50)])
    assert group_text(group).count(b"dispatch") == 1


def test_half_a_character_from_a_provider_is_replaced() -> None:
    odd = replace(receipt("a", "1"), provider_message_id="\ud83d")
    [found] = read_group(group_text(Batch(7, ends=[odd])), 1).ends
    assert isinstance(found, Receipt)
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
    assert (list(found.starts), list(found.ends)) == (STARTS, RECEIPTS)
