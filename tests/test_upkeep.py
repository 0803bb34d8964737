"""A guard counts what an earlier process sent, and old rows go a little at a time."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day

import pytest
import trio
from trio.testing import MockClock

from actors.guard import Guard
from actors.limits import Limits
from actors.quota import Quota
from actors.rate import Rate
from messages.errors import JournalUnavailable
from tests.actors.fakes import Script, ignore
from tests.messages.fakes import FakeRecovery
from upkeep import BREATH, PAUSE, remember_calls, retire_for_ever


class Past(FakeRecovery):
    """Calls that ended so many seconds ago."""

    def __init__(self, *ages: float) -> None:
        super().__init__()
        self.ages = ages
        self.asked: list[tuple[float, int]] = []

    async def starts(self, provider: str, since: int, most: int) -> Sequence[int]:
        now = time.time()
        self.asked.append((now - since / 1000, most))
        return [round((now - age) * 1000) for age in self.ages if (now - age) * 1000 >= since]


def guard(limits: Limits) -> Guard:
    return Guard("p", Script(), limits, ignore)


async def test_a_window_is_as_full_as_it_was(autojump_clock: MockClock) -> None:
    it = guard(Limits(5, rates=(Rate(3, 10.0),)))
    await remember_calls([it], Past(9.0, 5.0, 1.0))
    assert it.opens_at(trio.current_time()) == pytest.approx(trio.current_time() + 1.05, abs=0.1)
    await trio.sleep(1.2)
    assert it.opens_at(trio.current_time()) <= trio.current_time()


async def test_what_is_older_than_every_window_does_not_count(autojump_clock: MockClock) -> None:
    it = guard(Limits(5, rates=(Rate(1, 10.0), Rate(100, 60.0))))
    past = Past(30.0, 20.0)
    await remember_calls([it], past)
    assert it.opens_at(trio.current_time()) <= trio.current_time()
    [(span, most)] = past.asked
    assert span == pytest.approx(60, abs=1)
    assert most == 1000


async def test_a_quota_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    it = guard(Limits(5, quota=Quota(2500, time_of_day(0), "UTC")))
    past = Past(*[0.001] * 3)
    await remember_calls([it], past)
    left = it.statistics().quota_left
    assert left in {2497, 2500}  # just after midnight the day is a new one
    [(span, most)] = past.asked
    assert span > 24 * 3600
    assert most == 2500


async def test_calls_before_the_reset_of_a_quota_do_not_count_however_early_it_was_asked(
    autojump_clock: MockClock,
) -> None:
    def ten_past_midnight() -> datetime:
        return datetime(2026, 1, 2, 0, 10, tzinfo=UTC) + timedelta(seconds=trio.current_time())

    limits = Limits(5, quota=Quota(10, time_of_day(0), "UTC"))
    it = Guard("p", Script(), limits, ignore, wall=ten_past_midnight)
    it.apply(limits)  # as an override that is restored before
    assert it.statistics().quota_left == 10
    await remember_calls([it], Past(1800.0, 1200.0, 300.0))
    assert it.statistics().quota_left == 9


async def test_old_rows_go_part_by_part_and_a_broken_journal_is_no_end(
    autojump_clock: MockClock,
) -> None:
    calls: list[float] = []

    async def retire(before: int) -> bool:
        calls.append(trio.current_time())
        assert before == pytest.approx((time.time() - 100) * 1000, abs=1000)
        if len(calls) == 3:
            raise JournalUnavailable("broken")
        return len(calls) < 3

    with trio.move_on_after(2 * PAUSE + 1):
        await retire_for_ever(retire, 100)
    begin = calls[0]
    assert [at - begin for at in calls] == pytest.approx(
        [0, BREATH, 2 * BREATH, 2 * BREATH + PAUSE, 2 * BREATH + 2 * PAUSE]
    )
