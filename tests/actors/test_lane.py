"""Inside a lane dispatches take turns, and what came back is kept apart by what it waits for."""

from __future__ import annotations

from collections import Counter
from math import inf

import pytest

from carillon.actors.lane import FRESH, Lane, Signature, signature
from carillon.messages.envelope import Envelope
from tests.actors.fakes import envelope


def batch(dispatch: str, number: int, expires_at: float = inf) -> list[Envelope]:
    return [
        envelope(f"{dispatch}{one}", dispatch=dispatch, expires_at=expires_at)
        for one in range(number)
    ]


def taken(lane: Lane, number: int) -> list[str]:
    return [take(lane).delivery.id for _ in range(number)]


def take(lane: Lane, kind: Signature | None = None) -> Envelope:
    """The next one, of any kind or of this one."""
    found = lane.take(lambda one: kind is None or one == kind)
    assert found is not None
    return found[0]


def test_dispatches_take_turns_however_large_they_are() -> None:
    lane = Lane(1)
    lane.add("a", batch("a", 1000))
    lane.add("b", batch("b", 3))
    lane.add("c", batch("c", 1))
    assert taken(lane, 8) == ["a0", "b0", "c0", "a1", "b1", "a2", "b2", "a3"]


def test_a_dispatch_that_brings_more_keeps_its_place_and_its_order() -> None:
    lane = Lane(1)
    lane.add("a", batch("a", 2))
    lane.add("b", batch("b", 2))
    taken(lane, 1)
    lane.add("a", [envelope("more", dispatch="a")])
    assert taken(lane, 4) == ["b0", "a1", "b1", "more"]


def test_a_hundred_dispatches_get_equal_shares() -> None:
    lane = Lane(1)
    for number in range(100):
        lane.add(f"d{number}-", batch(f"d{number}-", 50))
    counts = Counter(name.split("-")[0] for name in taken(lane, 1000))
    assert set(counts.values()) == {10}


def test_what_came_back_alike_keeps_its_order() -> None:
    lane = Lane(1)
    tried, moved, doubtful = batch("x", 3)
    tried.at, moved.given_up, doubtful.at, doubtful.in_doubt = "A", ("A",), "A", True
    again = envelope("again")
    again.at = "A"
    for one in (tried, moved, doubtful, again):
        lane.give_back(one)
    assert list(lane.returned) == [signature(tried), signature(moved), signature(doubtful)]
    assert take(lane, signature(tried)) is tried
    assert take(lane, signature(again)) is again
    assert signature(tried) not in lane.returned
    assert signature(envelope("new")) == FRESH


def test_it_is_busy_while_it_holds_anything() -> None:
    lane = Lane(1)
    assert not lane
    lane.add("a", batch("a", 1))
    assert lane
    one = take(lane)
    assert not lane
    lane.give_back(one)
    assert lane


def test_only_what_has_expired_is_taken_out() -> None:
    lane = Lane(1)
    lane.add("a", batch("a", 2, expires_at=5.0))
    lane.add("b", batch("b", 1, expires_at=6.0))
    for name, expires_at in (("early", 5.0), ("late", 6.0)):
        lane.give_back(envelope(name, expires_at=expires_at))
    names = [one.delivery.id for one in lane.remove_expired(5.0)]
    assert names == ["a0", "a1", "early"]
    assert taken(lane, 2) == ["late", "b0"]  # what came back goes first
    assert not lane


def test_it_tells_how_many_wait_for_what_and_since_when() -> None:
    lane = Lane(1)
    for number, dispatch in enumerate("ab"):
        envelopes = batch(dispatch, 2)
        for one in envelopes:
            one.posted_at = 10.0 + number
        lane.add(dispatch, envelopes)
    back = envelope("back")
    back.at, back.posted_at = "A", 3.0
    lane.give_back(back)
    assert list(lane.waiting()) == [(FRESH, 4, 10.0), (("A", (), False), 1, 3.0)]


@pytest.mark.parametrize("weight", [1, 4, 16])
def test_a_weight_is_the_length_of_a_lane_s_step(weight: int) -> None:
    assert Lane(weight).stride * weight == 1.0
