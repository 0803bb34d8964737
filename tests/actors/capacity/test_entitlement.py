"""A replica gets as much of a provider as those whose messages wait there."""

from __future__ import annotations

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from carillon.actors.capacity.entitlement import MOST_NAMED, SCALE, Waiting, entitled, merged
from carillon.actors.provider.limits import Limits
from carillon.actors.provider.rate_limit import Rate
from carillon.messages.model import PRIORITIES
from tests.actors.capacity.boards import Board, Meter, Replica, Traffic

TWENTY: Waiting = {"normal": {f"shop {number}": 1 for number in range(20)}}
ONE: Waiting = {"normal": {"bulk sender": 1}}

anybody = st.dictionaries(
    st.sampled_from(PRIORITIES),
    st.dictionaries(st.sampled_from("pqrst"), st.integers(1, 9), min_size=1),
)


def test_where_twenty_callers_wait_there_is_twenty_times_the_part_of_where_one_does() -> None:
    assert entitled({"a": TWENTY, "b": ONE}) == {"a": 9524, "b": 476}


def test_the_part_of_a_caller_is_divided_among_the_replicas_where_it_waits() -> None:
    both: Waiting = {"normal": {**TWENTY["normal"], "bulk sender": 1}}
    parts = entitled({"a": both, "b": ONE, "c": ONE})
    assert parts == {"a": 9683, "b": 159, "c": 159}


def test_callers_count_by_weight_and_lanes_by_theirs() -> None:
    assert entitled({"a": {"bulk": {"x": 3}}, "b": {"bulk": {"y": 1}}}) == {"a": 7500, "b": 2500}
    assert entitled({"a": {"high": {"x": 1}}, "b": {"normal": {"x": 1}}}) == {"a": 8000, "b": 2000}


def test_replicas_that_name_nobody_are_equal() -> None:
    assert entitled({"a": {}, "b": {}}) == {"a": 5000, "b": 5000}
    assert entitled({}) == {}


def test_what_a_replica_says_of_its_callers_is_bounded() -> None:
    told = merged([{"high": {f"{number:05}": 2 for number in range(10_000)}}, ONE])
    assert len(told["high"]) == MOST_NAMED
    assert sum(told["high"].values()) == 20_000
    assert told["normal"] == ONE["normal"]


@given(places=st.dictionaries(st.sampled_from("abcd"), anybody, min_size=1))
def test_parts_come_to_the_whole_and_nobody_has_none(places: dict[str, Waiting]) -> None:
    parts = entitled(places)
    assert abs(sum(parts.values()) - SCALE) <= len(places)
    assert all(part >= 1 for part in parts.values())
    assert parts == entitled(dict(reversed(places.items())))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        (TWENTY, ONE, 20.0),
        ({"normal": {"a": 3}}, {"normal": {"b": 1}}, 3.0),
        ({"high": {"a": 1}}, {"bulk": {"a": 1}}, 16.0),
        ({"normal": {"a": 1}}, {"normal": {"a": 1}}, 1.0),
    ],
)
async def test_replicas_use_a_rate_as_callers_wait_there_after_a_second(
    one: Waiting, other: Waiting, ratio: float, autojump_clock: MockClock
) -> None:
    limits = Limits(200, (Rate(60, 0.25),), timeout=2.0)
    meter, board = Meter(), Board()
    meter.allow(limits)
    async with trio.open_nursery() as world:
        a, b = (
            Replica(name, board, meter, world, limits, Traffic(workers=10), waiting=waiting)
            for name, waiting in (("a", one), ("b", other))
        )
        world.start_soon(a.run)
        world.start_soon(b.run)
        await trio.sleep(2.0)
        before = len(a.starts), len(b.starts)
        await trio.sleep(8.0)
        mine, others = len(a.starts) - before[0], len(b.starts) - before[1]
        world.cancel_scope.cancel()
    assert meter.wrong == []
    assert mine + others >= 0.92 * 8 * 240
    assert others / (mine + others) == pytest.approx(1 / (1 + ratio), abs=0.015)


@pytest.mark.slow
async def test_a_replica_takes_over_what_another_leaves_when_its_callers_are_served(
    autojump_clock: MockClock,
) -> None:
    limits = Limits(200, (Rate(100, 1.0),), timeout=2.0)
    meter, board = Meter(), Board()
    meter.allow(limits)
    async with trio.open_nursery() as world:
        few, many = Traffic(workers=10), Traffic(workers=10, busy=((0.0, 10.0),))
        a = Replica("a", board, meter, world, limits, many, waiting=TWENTY)
        b = Replica("b", board, meter, world, limits, few, waiting=ONE)
        world.start_soon(a.run)
        world.start_soon(b.run)
        await trio.sleep(10.0)
        a.waiting = {}
        await trio.sleep(4.0)
        before = len(b.starts)
        await trio.sleep(10.5)
        world.cancel_scope.cancel()
    assert meter.wrong == []
    assert len(b.starts) - before >= 960
