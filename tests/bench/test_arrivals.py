"""A rate that changed is found in the times of arrival, and so is a limit that was broken."""

from __future__ import annotations

import json
import time

import pytest

from bench.arrivals import (
    Clock,
    Setting,
    buckets,
    changes,
    exceeded,
    most_between,
    window_counts,
)

START = 100.0
SLOW, FAST = 8, 128  # times that a float holds exactly


def evenly(start: float, rate: int, seconds: float) -> list[float]:
    return [start + number / rate for number in range(int(rate * seconds))]


def setting(limit: int, after: float, took: float = 0.0) -> Setting:
    return Setting(limit, START + after, START + after + took)


def test_a_window_is_open_at_its_start() -> None:
    assert window_counts([0.0, 0.5, 1.0, 1.25, 3.0]) == [1, 2, 2, 3, 1]


def test_a_rise_shows_with_the_first_arrival_that_was_forbidden() -> None:
    arrivals = evenly(START, SLOW, 2) + evenly(START + 2, FAST, 2)
    [change] = changes(arrivals, [setting(SLOW, 0), setting(FAST, 1.75, took=0.05)])
    assert (change.before, change.after) == (SLOW, FAST)
    assert change.at == 1.75
    assert change.answered_after == pytest.approx(0.05)
    assert change.shown_after == 0.25 + 1 / FAST


def test_a_rise_that_never_shows_has_no_time() -> None:
    [change] = changes(evenly(START, SLOW, 4), [setting(SLOW, 0), setting(FAST, 2)])
    assert change.shown_after is None


def test_a_fall_shows_with_the_last_arrival_that_is_forbidden() -> None:
    arrivals = evenly(START, FAST, 2.25) + evenly(START + 3.5, SLOW, 2)
    [change] = changes(arrivals, [setting(FAST, 0), setting(SLOW, 2)])
    assert change.shown_after == 0.25 - 1 / FAST


def test_a_fall_that_holds_at_once_takes_no_time() -> None:
    settings = [setting(FAST, 0), setting(SLOW, 2)]
    arrivals = evenly(START, FAST, 2) + evenly(START + 3, SLOW, 2)
    [change] = changes(arrivals, settings)
    assert change.shown_after == 0
    assert exceeded(arrivals, settings) == 0
    assert most_between(arrivals, settings) == [FAST, SLOW]


def test_a_later_change_is_not_counted_for_an_earlier_one() -> None:
    settings = [setting(SLOW, 0), setting(FAST, 1), setting(SLOW, 2)]
    found = changes(evenly(START, SLOW, 4), settings)
    assert [change.shown_after for change in found] == [None, 0]


def test_a_window_over_a_change_may_hold_the_larger_number() -> None:
    settings = [setting(SLOW, 0), setting(FAST, 2), setting(SLOW, 4, took=0.25)]
    fast = evenly(START + 2, FAST, 2.25)  # until the change was answered
    arrivals = evenly(START, SLOW, 2) + fast + evenly(START + 5.25, SLOW, 2)
    assert exceeded(arrivals, settings) == 0


def test_arrivals_beyond_every_limit_are_counted() -> None:
    assert exceeded(evenly(START, FAST, 11 / FAST), [setting(SLOW, 0)]) == 3


def test_a_limit_that_is_over_allows_nothing() -> None:
    settings = [setting(FAST, 0), setting(SLOW, 1)]
    late = evenly(START + 3, FAST, 11 / FAST)
    assert exceeded(late, settings) == 3


def test_buckets_are_a_tenth_of_a_second_long() -> None:
    assert buckets([START + 0.05, START + 0.08, START + 0.31], START) == [2, 0, 0, 1]


def test_the_clock_notes_when_messages_come() -> None:
    clock, before = Clock(), time.monotonic()
    clock.add(b"any")
    assert clock.count == 1
    [at] = json.loads(clock.take())
    assert before <= at <= time.monotonic()
    assert clock.count == 0
