"""A guard counts what an earlier process sent, and old rows go a little at a time."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from datetime import time as time_of_day

import pytest
import trio
from trio.testing import MockClock

from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits
from carillon.actors.provider.quota import Quota
from carillon.actors.provider.rate_limit import Rate
from carillon.app.maintenance import (
    BREATH,
    PAUSE,
    forget_calls,
    keep_pauses,
    remember_calls,
    restore_pauses,
    retire_for_ever,
    watch_store,
)
from carillon.messages.errors import JournalUnavailable
from carillon.messages.events import Event, StoreMoved
from tests.actors.fakes import Script, ignore
from tests.dispatches.fakes import FakeJournal, FakeRecovery


class Past(FakeRecovery):
    """Calls that ended so many seconds ago."""

    def __init__(self, *ages: float) -> None:
        super().__init__()
        self.ages = ages
        self.asked: list[float] = []
        self.forgotten: list[int] = []

    async def calls(self, provider: str, since: int) -> Sequence[tuple[int, int]]:
        now = time.time()
        self.asked.append(now - since / 1000)
        return [(round((now - age) * 1000), 1) for age in self.ages if (now - age) * 1000 >= since]

    async def forget(self, before: int) -> None:
        self.forgotten.append(before)


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
    assert past.asked == [pytest.approx(60, abs=1)]


async def test_a_quota_goes_on_where_it_was(autojump_clock: MockClock) -> None:
    it = guard(Limits(5, quota=Quota(2500, time_of_day(0), "UTC")))
    past = Past(*[0.001] * 3)
    await remember_calls([it], past)
    left = it.statistics().quota_left
    assert left in {2497, 2500}  # just after midnight the day is a new one
    [span] = past.asked
    assert span > 24 * 3600


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


async def test_nothing_is_erased_while_the_clock_is_doubted(autojump_clock: MockClock) -> None:
    erased: list[float] = []
    doubted = [True]

    async def retire(_before: int) -> bool:
        await trio.lowlevel.checkpoint()
        erased.append(trio.current_time())
        return False

    with trio.move_on_after(10 * PAUSE - 1):
        await retire_for_ever(retire, 100, lambda: doubted[0])
    assert erased == []
    doubted[0] = False
    with trio.move_on_after(1):
        await retire_for_ever(retire, 100, lambda: doubted[0])
    assert len(erased) == 1


@pytest.mark.parametrize(
    ("limits", "seconds"),
    [
        (Limits(), 25 * 3600),
        (Limits(rates=(Rate(1, 60.0), Rate(9, 7 * 86_400.0))), 7 * 86_400),
        (Limits(rates=(Rate(1, 60.0),), quota=Quota(1, time_of_day(0), "UTC")), 25 * 3600),
    ],
)
async def test_calls_are_kept_as_long_as_any_limit_counts_them(
    limits: Limits, seconds: int
) -> None:
    past = Past()
    assert not await forget_calls([guard(limits), guard(Limits())], past, 10**12)
    assert past.forgotten == [10**12 - seconds * 1000]


class KeptPauses:
    """Implements `messages.ports.records.Pauses`; `broken` makes it refuse."""

    def __init__(self, **seconds: float) -> None:
        self.seconds = seconds
        self.broken = False

    async def left(self) -> Mapping[str, float]:
        await trio.lowlevel.checkpoint()
        return self.seconds

    async def keep(self, provider: str, seconds: float) -> None:
        await trio.lowlevel.checkpoint()
        if self.broken:
            raise JournalUnavailable("broken")
        self.seconds[provider] = seconds


async def test_a_pause_goes_on_after_a_restart(autojump_clock: MockClock) -> None:
    it = guard(Limits(5))
    await restore_pauses({"p": it}, KeptPauses(p=30.0, other=5.0))
    assert it.opens_at(trio.current_time()) == trio.current_time() + 30
    assert it.statistics().hold == "throttled"


async def test_a_pause_is_kept_at_once_and_again_while_that_fails(
    autojump_clock: MockClock,
) -> None:
    it, pauses = guard(Limits(5)), KeptPauses()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_pauses, {"p": it}, pauses)
        await trio.sleep(1)
        it.pause_for(30, tells=True)
        await trio.sleep(0.1)
        assert pauses.seconds == {"p": pytest.approx(30, abs=0.1)}
        pauses.broken = True
        it.pause_for(60, tells=True)
        await trio.sleep(10)
        pauses.broken = False
        await trio.sleep(1)
        assert pauses.seconds == {"p": pytest.approx(50, abs=1)}
        it.pause_for(10, tells=True)  # not longer than it rests anyway
        await trio.sleep(1)
        assert pauses.seconds == {"p": pytest.approx(50, abs=1)}
        nursery.cancel_scope.cancel()


async def test_a_store_that_cannot_be_written_is_told_once_with_its_reason(
    autojump_clock: MockClock,
) -> None:
    journal, events = FakeJournal(), list[Event]()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_store, journal, "carillon.db", events.append)
        for _ in range(10):  # the disk frees a little and is full again
            journal.trouble = "database or disk is full"
            await trio.sleep(2)
            journal.trouble = None
            await trio.sleep(2)
        journal.trouble = "attempt to write a readonly database"
        await trio.sleep(60)
        journal.trouble = None
        await trio.sleep(60)
        nursery.cancel_scope.cancel()
    assert events == [
        StoreMoved("troubled", "carillon.db", "database or disk is full"),
        StoreMoved("troubled", "carillon.db", "attempt to write a readonly database"),
        StoreMoved("mended", "carillon.db"),
    ]
