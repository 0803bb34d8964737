"""What is remembered of the calls to a provider, and what that takes."""

from __future__ import annotations

import tracemalloc
from math import inf

import pytest

from carillon.actors.provider.call_history import LEAST_KEPT, CallHistory


def starts_at(*times: float, kept: int = 0) -> CallHistory:
    """Calls that started then."""
    starts = CallHistory()
    starts.keep(kept)
    for time in times:
        starts.promised += 1
        starts.add(time)
    return starts


def many(number: int) -> CallHistory:
    """One call a second from 0 on."""
    return starts_at(*map(float, range(number)))


def test_calls_are_numbered_in_the_order_of_their_starts() -> None:
    starts = CallHistory()
    starts.promised = 3
    assert [starts.add(time) for time in (1.0, 1.0, 2.0)] == [0, 1, 2]
    assert (starts.count, starts.promised, starts.first) == (3, 0, 0)


def test_a_call_arrives_before_its_answer_or_the_settling_time() -> None:
    starts = starts_at(1.0, 1.01)
    assert starts.latest_arrival(0, 2, 0.04) == pytest.approx(1.05)
    assert starts.answered(1, 1.02)
    assert starts.latest_arrival(1, 2, 0.04) == 1.02
    assert starts.latest_arrival(0, 2, 0.04) == pytest.approx(1.04)
    assert starts.latest_arrival(0, 0, 0.04) == -inf


def test_a_late_answer_says_nothing_new() -> None:
    starts = starts_at(1.0)
    assert not starts.answered(0, 1.06)
    assert starts.latest_arrival(0, 1, 0.05) == 1.05


def test_doubt_begins_with_the_first_call_that_may_arrive_later() -> None:
    starts = starts_at(0.0, 1.0, 1.98, 2.0)
    assert starts.begin_of_doubt(3, 0.04) == 2
    assert starts.begin_of_doubt(3, 0.01) == 3
    assert starts.begin_of_doubt(0, 0.04) == 0
    assert starts.begin_of_doubt(-5, 0.04) == 0


def test_at_least_a_thousand_calls_are_kept() -> None:
    assert many(LEAST_KEPT).first == 0
    assert many(LEAST_KEPT + 1).first == 1
    assert many(2_500).first == 1_500


def test_forgotten_calls_count_as_the_oldest_one_that_is_known_unanswered() -> None:
    starts = many(1_500)  # the oldest known one started at 500
    starts.answered(500, 500.0)
    assert starts.latest_arrival(300, 400, 0.05) == 500.05
    assert starts.latest_arrival(500, 501, 0.05) == 500.0
    assert starts.begin_of_doubt(300, 0.05) == 0


def test_a_forgotten_call_may_arrive_later_than_the_oldest_one_that_is_known() -> None:
    starts = starts_at(*[7.0] * 1_500)
    starts.answered(500, 7.0)
    assert starts.latest_arrival(starts.begin_of_doubt(500, 0.04), 501, 0.04) == 7.04


def test_the_answer_of_a_forgotten_call_changes_nothing() -> None:
    starts = starts_at(*[7.0] * 1_500)
    assert not starts.answered(499, 7.01)
    assert starts.latest_arrival(500, 1_500, 0.04) == 7.04
    assert min(starts.latest_arrival(n, n + 1, 0.04) for n in range(500, 1_500)) == 7.04


def test_a_remembered_answer_goes_with_its_call() -> None:
    starts = many(1_000)
    starts.answered(0, 0.01)
    starts.add(1_000.0)
    assert starts.latest_arrival(1_000, 1_001, 0.05) == 1_000.05


def test_keeping_more_loses_nothing_and_keeping_less_neither() -> None:
    starts = many(1_300)
    starts.answered(1_100, 1_100.01)
    starts.keep(1_500)
    for time in range(1_300, 1_900):
        starts.add(float(time))
    starts.keep(1_000)
    starts.answered(1_899, 1_899.02)

    assert starts.first == 400
    assert starts.latest_arrival(400, 401, 0.05) == 400.05
    assert starts.latest_arrival(1_100, 1_101, 0.05) == 1_100.01
    assert starts.latest_arrival(1_101, 1_899, 0.05) == 1_898.05
    assert starts.latest_arrival(1_899, 1_900, 0.05) == 1_899.02


def test_calls_are_counted_up_to_a_time() -> None:
    starts = many(1_500)
    assert starts.until(1_400.0, 0.0) == 1_401
    assert starts.until(1_400.0, 0.5) == 1_400
    assert starts.until(9_999.0, 0.0) == 1_500
    assert starts.until(3.0, 0.0) == starts.first  # as far as is known
    assert CallHistory().until(0.0, 0.0) == 0


def test_calls_are_counted_from_a_time() -> None:
    starts = many(1_000)
    assert starts.since(997.0) == 3
    assert starts.since(-1.0) == 1_000
    assert starts.since(1_000.0) == 0


def test_calls_long_ago_are_counted_to_five_minutes() -> None:
    starts = starts_at(*(float(second) for second in range(20_000)))
    for begin in (0.0, 1.0, 5_000.0, 18_000.0):
        exact = 20_000 - begin
        assert exact <= starts.since(begin) <= exact + 300
    assert starts.since(-50.0) == 20_000


def test_marks_reach_back_more_than_a_day() -> None:
    starts = starts_at(*(10.0 * turn for turn in range(50_000)))  # nearly six days
    exact = 25 * 360
    assert exact <= starts.since(500_000.0 - 25 * 3600.0) <= exact + 30


@pytest.mark.slow
def test_a_call_costs_sixteen_bytes() -> None:
    tracemalloc.start()
    starts = CallHistory()
    starts.keep(30_000)
    for number in range(35_000):
        starts.add(number * 1e-3)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert starts.first == 5_000
    assert held < 30_000 * 16 * 1.1


def test_memory_follows_the_calls_and_not_the_limit() -> None:
    tracemalloc.start()
    starts = CallHistory()
    starts.keep(10_000_000)
    for number in range(1_000):
        starts.add(float(number))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 50_000
