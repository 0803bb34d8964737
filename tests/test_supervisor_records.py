"""What a supervised channel puts on record, what it takes up from there, and what it withdraws."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from carillon.actors.channel import ChannelSpec
from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits, Retry
from carillon.actors.router import Choice, Route
from carillon.messages.model import Unavailable
from carillon.messages.ports.records import PastAttempt, Result
from carillon.supervisor import Supervisor
from tests.actors.fakes import Answers, Breaks, Connects, Log, Script, envelope, ignore

BUG = RuntimeError("bug")
HOLD, RETRY = Limits(2), Limits(2, on_unknown_outcome="retry")
QUICK = Retry(3, 1, 1)


class Office(Answers):
    """A channel with one provider, and its record."""

    def __init__(self, provider: Script, limits: Limits = HOLD) -> None:
        super().__init__()
        self.log = Log()
        self.guard = Guard("p", provider, limits, ignore, draw=lambda: 1.0)
        spec = ChannelSpec("sms", Route([Choice(self.guard)]))
        self.supervisor = Supervisor([spec], ignore, self.log)

    def post(self, *names: str, dispatch: str = "d") -> None:
        self.supervisor.put("sms", [envelope(one, self.reply, dispatch=dispatch) for one in names])

    def take_up(self, name: str, *attempts: PastAttempt, starts: int = 0) -> None:
        one = envelope(name, self.reply)
        one.remember(attempts, starts or attempts[-1].number)
        self.supervisor.put("sms", [one])

    @property
    def starts(self) -> list[tuple[str, int]]:
        return [(one.key, one.number) for one in self.log.starts]

    @property
    def ends(self) -> list[tuple[str, int, Result]]:
        return [(one.key, one.number, one.result) for one in self.log.ends]


# Written


async def test_each_attempt_is_on_record_before_it_is_made(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("503")])
    it = Office(provider, Limits(1, retry=QUICK))
    async with it.supervisor.running(grace=60):
        it.post("a")
        await it.answered(1)
    assert it.starts == [("user/a", 1), ("user/a", 2)]
    assert it.ends == [("user/a", 1, "unavailable")]  # the last one ends with its delivery


async def test_nothing_leaves_that_is_not_on_record(autojump_clock: MockClock) -> None:
    provider = Script()
    it = Office(provider)
    it.log.broken = True
    async with it.supervisor.running(grace=600):
        it.post("a", "b", "c")
        await trio.sleep(100)
        assert provider.ids == []
        assert it.guard.statistics().in_flight == 0
        it.log.broken = False
        await it.answered(3)
        assert trio.current_time() == pytest.approx(101, abs=1)
    assert [receipt.attempts for receipt in it.receipts.values()] == [1, 1, 1]


async def test_a_crash_before_a_byte_left_is_on_record_as_such(autojump_clock: MockClock) -> None:
    it = Office(Script(a=[BUG]))
    async with it.supervisor.running(grace=60):
        it.post("a")
        await it.answered(1)
    assert it.ends == [("user/a", 1, "unstarted")]
    assert it.starts == [("user/a", 1), ("user/a", 2)]


async def test_a_repeatable_call_that_is_cut_off_stays_open_on_record(
    autojump_clock: MockClock,
) -> None:
    it = Office(Script(a=[100.0], b=[Connects(100.0)]), RETRY)
    async with it.supervisor.running(grace=1):
        it.post("a", "b")
        await wait_all_tasks_blocked()
    assert it.outcomes() == {}
    assert it.ends == [("user/b", 1, "unstarted")]


# Taken up


def past(*results: Result | None, provider: str = "p") -> Sequence[PastAttempt]:
    return [PastAttempt(number, provider, one) for number, one in enumerate(results, start=1)]


async def test_a_call_that_was_open_is_in_doubt_where_repeats_are_not_recognised(
    autojump_clock: MockClock,
) -> None:
    provider = Script()
    it = Office(provider)
    async with it.supervisor.running(grace=5):
        it.take_up("a", *past("unavailable", None))
        await it.answered(1)
    assert provider.ids == []
    receipt = it.receipts["a"]
    assert (receipt.outcome, receipt.provider, receipt.attempts) == ("in-doubt", "p", 2)


async def test_it_is_repeated_where_they_are(autojump_clock: MockClock) -> None:
    it = Office(Script(), RETRY)
    async with it.supervisor.running(grace=5):
        it.take_up("a", *past(None))
        await it.answered(1)
    assert (it.outcomes(), it.receipts["a"].attempts) == ({"a": "sent"}, 2)
    assert it.starts == [("user/a", 2)]


@pytest.mark.parametrize("attempts", [1, 2, 3])
async def test_starts_over_and_over_make_no_more_calls_than_are_allowed(
    attempts: int, autojump_clock: MockClock
) -> None:
    """Each process is killed while its call is open."""
    limits = Limits(2, on_unknown_outcome="retry", retry=Retry(attempts, 1, 1))
    made: list[PastAttempt] = []
    calls, outcomes = 0, dict[str, str]()
    for _ in range(attempts + 3):
        provider = Script(a=[100.0])
        it = Office(provider, limits)
        async with it.supervisor.running(grace=0):
            if made:
                it.take_up("a", *made)
            else:
                it.post("a")
            await wait_all_tasks_blocked()
        calls += len(provider.ids)
        outcomes |= it.outcomes()
        made += [PastAttempt(one.number, "p", None) for one in it.log.starts]
        if outcomes:
            break
    assert (calls, outcomes) == (attempts, {"a": "in-doubt"})


async def test_what_has_failed_at_its_last_attempt_is_not_tried_again(
    autojump_clock: MockClock,
) -> None:
    """The process died between the end of the attempt and that of its delivery."""
    provider = Script()
    it = Office(provider, Limits(2, retry=Retry(2, 1, 1)))
    async with it.supervisor.running(grace=5):
        it.take_up("a", *past("unavailable", "unavailable"))
        await it.answered(1)
    assert provider.ids == []
    receipt = it.receipts["a"]
    assert (receipt.outcome, receipt.reason, receipt.attempts) == ("failed", "exhausted", 2)


async def test_a_crash_in_an_open_call_makes_no_attempt_too_many(
    autojump_clock: MockClock,
) -> None:
    provider = Script(a=[Breaks()])
    it = Office(provider, Limits(2, on_unknown_outcome="retry", retry=Retry(1, 1, 1)))
    async with it.supervisor.running(grace=5):
        it.post("a")
        await it.answered(1)
    assert (len(provider.ids), it.outcomes()) == (1, {"a": "in-doubt"})


async def test_a_call_that_had_not_started_is_made(autojump_clock: MockClock) -> None:
    it = Office(Script())
    async with it.supervisor.running(grace=5):
        it.take_up("a", *past("unstarted"))
        await it.answered(1)
    assert (it.outcomes(), it.receipts["a"].attempts) == ({"a": "sent"}, 1)


async def test_an_open_call_at_a_provider_that_is_gone_is_in_doubt(
    autojump_clock: MockClock,
) -> None:
    it = Office(Script(), RETRY)
    async with it.supervisor.running(grace=5):
        it.take_up("a", *past(None, provider="gone"))
        await it.answered(1)
    assert it.outcomes() == {"a": "in-doubt"}


async def test_attempts_that_were_made_count(autojump_clock: MockClock) -> None:
    provider = Script(a=[Unavailable("503")] * 9)
    it = Office(provider, Limits(1, retry=QUICK))
    async with it.supervisor.running(grace=60):
        it.take_up("a", *past("unavailable", "unavailable"))
        await it.answered(1)
    assert provider.ids == ["a"]
    assert (it.receipts["a"].reason, it.receipts["a"].attempts) == ("exhausted", 3)


async def test_what_is_driven_again_has_all_its_attempts_and_new_numbers(
    autojump_clock: MockClock,
) -> None:
    it = Office(Script(a=[Unavailable("503")] * 2), Limits(1, retry=QUICK))
    async with it.supervisor.running(grace=60):
        it.take_up("a", starts=5)
        await it.answered(1)
    assert it.outcomes() == {"a": "sent"}
    assert it.starts == [("user/a", 6), ("user/a", 7), ("user/a", 8)]


# Withdrawn


async def test_what_waits_of_a_dispatch_is_withdrawn_and_no_other(
    autojump_clock: MockClock,
) -> None:
    provider = Script(10.0, parked=[Unavailable("503")])
    it = Office(provider, Limits(1, retry=Retry(9, 60, 60)))
    async with it.supervisor.running(grace=100):
        it.post("parked", "open", "waiting")
        await trio.sleep(15)
        it.post("other", dispatch="another")
        it.supervisor.cancel("d")
        assert it.outcomes() == {"parked": "cancelled", "waiting": "cancelled"}
        await it.answered(4)
    assert it.outcomes() == {
        "parked": "cancelled",
        "waiting": "cancelled",
        "open": "sent",
        "other": "sent",
    }


async def test_a_call_under_way_makes_no_further_attempt(autojump_clock: MockClock) -> None:
    provider = Script(a=[Connects(5.0, then=Unavailable("503"))] * 5)
    it = Office(provider, Limits(1, retry=QUICK))
    async with it.supervisor.running(grace=100):
        it.post("a")
        await trio.sleep(1)
        it.supervisor.cancel("d")
        await it.answered(1)
    assert it.outcomes() == {"a": "cancelled"}
    assert provider.ids == ["a"]
