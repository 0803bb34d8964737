"""Callers share a channel by weight, however many dispatches each has; nobody's place idles."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from math import ceil

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from carillon.actors.channel import ChannelSpec
from carillon.actors.inbox import FEWEST, SHARE, Inbox
from carillon.actors.lane import FRESH, Lane, Signature
from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits
from carillon.actors.router import Choice, Route
from carillon.messages.envelope import Envelope
from carillon.messages.model import Channel, Priority
from carillon.supervisor import Supervisor
from tests.actors.fakes import Answers, Log, Script, envelope, ignore
from tests.properties import examples


def batch(
    caller: str, dispatch: str, number: int, answers: Answers | None = None
) -> list[Envelope]:
    reply = None if answers is None else answers.reply
    envelopes = [envelope(f"{dispatch}-{one}", reply, dispatch=dispatch) for one in range(number)]
    for one in envelopes:
        one.caller = caller
    return envelopes


def anything(_: Signature) -> bool:
    return True


def callers(lane: Lane, number: int) -> list[str]:
    found = []
    for _ in range(number):
        taken = lane.take(anything)
        assert taken is not None
        found.append(taken[0].caller)
    return found


def test_callers_take_turns_whatever_number_of_dispatches_they_have() -> None:
    lane = Lane(1)
    for number in range(100):
        lane.add(f"a{number}", batch("A", f"a{number}", 10))
    lane.add("b", batch("B", "b", 3))
    assert callers(lane, 7) == ["A", "B", "A", "B", "A", "B", "A"]


def test_the_dispatches_of_a_caller_take_turns() -> None:
    lane = Lane(1)
    lane.add("a", batch("A", "a", 3))
    lane.add("b", batch("B", "b", 3))
    lane.add("c", batch("A", "c", 3))
    ids = [taken[0].delivery.id for _ in range(6) if (taken := lane.take(anything))]
    assert ids == ["a-0", "b-0", "c-0", "b-1", "a-1", "b-2"]


@pytest.mark.slow
@settings(max_examples=examples(50))
@given(
    st.lists(st.integers(1, 5), min_size=2, max_size=5),
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 40)), max_size=60),
)
def test_weights_hold_over_any_thousand_starts(
    weights: Sequence[int], comings: Sequence[tuple[int, int]]
) -> None:
    """While all of them have something to send, and whatever else comes meanwhile."""
    names = {f"c{at}": weight for at, weight in enumerate(weights)}
    lane = Lane(1, names.__getitem__)
    for name in names:
        lane.add(name, batch(name, name, 2200))
    coming = deque(comings)
    taken: list[str] = []
    while len(taken) < 2000:
        taken += callers(lane, 20)
        if coming:
            at, number = coming.popleft()
            name = f"c{at % len(weights)}"
            more = f"{name}/{len(coming)}"
            lane.add(more, batch(name, more, number))
    total = sum(weights)
    for start in range(0, 1000, 50):
        counts = Counter(taken[start : start + 1000])
        for name, weight in names.items():
            assert abs(counts[name] - 1000 * weight / total) <= 20


@pytest.mark.slow
def test_three_to_one_is_three_to_one() -> None:
    lane = Lane(1, {"A": 3, "B": 1}.__getitem__)
    for name in "AB":
        lane.add(name, batch(name, name, 4000))
    taken = callers(lane, 4000)
    for start in range(3000):
        assert 745 <= Counter(taken[start : start + 1000])["A"] <= 755


def test_who_sends_one_at_a_time_gets_no_more_than_its_part() -> None:
    lane = Lane(1, {"A": 3, "B": 1}.__getitem__)
    lane.add("a", batch("A", "a", 1000))
    lane.add("b", batch("B", "b", 1))
    taken: list[str] = []
    for number in range(400):
        taken += callers(lane, 1)
        if taken[-1] == "B":  # comes again at once
            lane.add(f"b{number}", batch("B", f"b{number}", 1))
    assert Counter(taken)["B"] == pytest.approx(100, abs=2)


def test_who_was_away_saves_nothing_up() -> None:
    lane = Lane(1)
    lane.add("b", batch("B", "b", 1))
    lane.add("a", batch("A", "a", 1000))
    callers(lane, 500)
    lane.add("b", batch("B", "b", 100))
    assert Counter(callers(lane, 100))["B"] == 50


def test_what_came_back_waits_for_its_caller_s_turn_too() -> None:
    lane = Lane(1)
    for one in batch("A", "a", 100):
        lane.give_back(one)
    lane.add("b", batch("B", "b", 10))
    assert Counter(callers(lane, 20)) == {"A": 10, "B": 10}


def test_a_caller_whose_messages_cannot_go_holds_up_nobody() -> None:
    lane = Lane(1)
    for one in batch("A", "a", 50):
        one.at = "away"
        lane.give_back(one)
    lane.add("b", batch("B", "b", 10))
    for _ in range(10):
        taken = lane.take(lambda kind: kind == FRESH)
        assert taken is not None
        assert taken[0].caller == "B"
    assert lane.take(lambda kind: kind == FRESH) is None
    assert callers(lane, 50) == ["A"] * 50
    assert not lane


@pytest.mark.parametrize("withdrawn", ["a", "b"])
def test_what_is_withdrawn_leaves_the_others_their_turns(withdrawn: str) -> None:
    lane = Lane(1)
    lane.add("a", batch("A", "a", 5))
    lane.add("b", batch("B", "b", 5))
    assert len(lane.cancel(withdrawn)) == 5
    assert set(callers(lane, 5)) == {"A", "B"} - {withdrawn.upper()}
    assert not lane
    lane.add(withdrawn, batch(withdrawn.upper(), withdrawn, 2))
    assert len(callers(lane, 2)) == 2
    assert lane.take(anything) is None


def test_a_weight_that_is_changed_holds_with_what_is_queued_next() -> None:
    weights = {"A": 1, "B": 1}
    lane = Lane(1, lambda name: weights[name])
    for name in "AB":
        lane.add(name, batch(name, name, 1000))
    assert Counter(callers(lane, 100))["A"] == 50
    weights["A"] = 4
    lane.add("A", batch("A", "more", 1))
    assert Counter(callers(lane, 100))["A"] == pytest.approx(80, abs=1)


async def test_room_is_divided_among_callers_first(autojump_clock: MockClock) -> None:
    inbox = Inbox(2000, 10)
    for number in range(1000):
        inbox.put(batch("A", f"a{number}", 5))
    assert await inbox.wait_for_capacity("new", 1.0, "A") == FEWEST
    assert await inbox.wait_for_capacity("b", 1.0, "B") == SHARE
    inbox.put(batch("B", "b", 100))
    assert await inbox.wait_for_capacity("b", 1.0, "B") == SHARE


class Crowd:
    """Callers that send at once, as dispatches do: a slice whenever there is room for it."""

    def __init__(self, weigh: Mapping[str, int] | None = None, concurrency: int = 10) -> None:
        self.answers = Answers()
        self.provider = Script(0.1)
        guard = Guard("p", self.provider, Limits(concurrency=concurrency), ignore)
        spec = ChannelSpec("sms", Route([Choice(guard)]))
        weights = weigh or {}
        self.supervisor = Supervisor([spec], ignore, Log(), lambda name: weights.get(name, 1))

    async def send(self, caller: str, dispatch: str, number: int) -> None:
        envelopes = deque(batch(caller, dispatch, number, self.answers))
        first = [envelopes.popleft() for _ in range(min(20, number))]
        self.supervisor.put("sms", first)
        while envelopes:
            room = await self.supervisor.wait_for_capacity("sms", dispatch, 1e9, caller)
            part = [envelopes.popleft() for _ in range(min(room, len(envelopes)))]
            self.supervisor.put("sms", part)

    async def ends_of(self, names: Sequence[str], number: int) -> list[float]:
        """When the deliveries of these callers have ended, in order."""
        wanted = [f"{name}-{one}" for name in names for one in range(number)]
        while not all(one in self.answers.times for one in wanted):
            await trio.sleep(0.5)
        return sorted(self.answers.times[one] for one in wanted)


async def measured(*, beside: bool) -> float:
    """The 99th percentile of 20 callers with 10 deliveries each."""
    crowd, names = Crowd(), [f"small{one}" for one in range(20)]
    async with crowd.supervisor.running(grace=0), trio.open_nursery() as nursery:
        start = trio.current_time()
        if beside:
            for number in range(1000):
                nursery.start_soon(crowd.send, "A", f"a{number}", 100)
            await trio.sleep(30)
            start = trio.current_time()
        for name in names:
            nursery.start_soon(crowd.send, name, name, 10)
        ends = await crowd.ends_of(names, 10)
        nursery.cancel_scope.cancel()
    return ends[ceil(len(ends) * 0.99) - 1] - start


@pytest.mark.slow
async def test_twenty_callers_are_hardly_later_beside_a_thousand_dispatches_of_another(
    autojump_clock: MockClock,
) -> None:
    alone, beside = await measured(beside=False), await measured(beside=True)
    assert beside <= 1.2 * alone


@pytest.mark.slow
async def test_no_place_idles_while_anybody_has_something_to_send(
    autojump_clock: MockClock,
) -> None:
    crowd = Crowd({"A": 7, "B": 2})
    async with crowd.supervisor.running(grace=0), trio.open_nursery() as nursery:
        for number in range(30):
            nursery.start_soon(crowd.send, "A", f"a{number}", 50)
        nursery.start_soon(crowd.send, "B", "b", 300)
        nursery.start_soon(crowd.send, "C", "c", 5)
        while len(crowd.answers.times) < 1805:
            await trio.sleep(1)
    assert max(crowd.answers.times.values()) == pytest.approx(1805 / 100, abs=0.2)


# Over replicas


class Fleet:
    """Replicas that tell each other twice a second what they have begun with."""

    def __init__(self, *replicas: Crowd) -> None:
        self.replicas = replicas

    async def exchange(self) -> None:
        told = [one.supervisor.served() for one in self.replicas]
        while True:
            await trio.sleep(0.5)
            now = [one.supervisor.served() for one in self.replicas]
            for at, one in enumerate(self.replicas):
                news = Counter[tuple[Channel, Priority, str]]()
                for other in range(len(self.replicas)):
                    if other != at:
                        for place, number in now[other].items():
                            news[place] += number - told[other].get(place, 0)
                one.supervisor.charge(news)
            told = now

    def begun(self) -> Counter[str]:
        found = Counter[str]()
        for one in self.replicas:
            for (_, _, caller), number in one.supervisor.served().items():
                found[caller] += number
        return found


@pytest.mark.slow
async def test_callers_share_all_replicas_together_and_not_each_of_them(
    autojump_clock: MockClock,
) -> None:
    fleet = Fleet(Crowd(), Crowd())
    first, second = fleet.replicas
    async with (
        first.supervisor.running(grace=0),
        second.supervisor.running(grace=0),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(fleet.exchange)
        nursery.start_soon(first.send, "A", "a1", 9000)
        nursery.start_soon(second.send, "A", "a2", 2000)
        nursery.start_soon(first.send, "B", "b", 9000)
        await trio.sleep(2)
        before = fleet.begun()
        await trio.sleep(10)
        after = fleet.begun()
        assert after["A"] - before["A"] == pytest.approx(1000, abs=100)
        assert after["B"] - before["B"] == pytest.approx(1000, abs=100)
        await trio.sleep(12)  # the second one has nothing more to do since some seconds
        before = fleet.begun()
        await trio.sleep(10)
        after = fleet.begun()
        assert after["A"] - before["A"] == pytest.approx(500, abs=50)
        nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_what_was_had_elsewhere_is_forgotten_within_a_second_or_two(
    autojump_clock: MockClock,
) -> None:
    crowd = Crowd()
    async with crowd.supervisor.running(grace=0), trio.open_nursery() as nursery:
        nursery.start_soon(crowd.send, "A", "a", 9000)
        nursery.start_soon(crowd.send, "B", "b", 9000)
        for _ in range(20):  # A gets three times as much elsewhere as there is here
            await trio.sleep(0.5)
            crowd.supervisor.charge({("sms", "normal", "A"): 150})
        before = crowd.supervisor.served()
        await trio.sleep(8)
        after = crowd.supervisor.served()
        nursery.cancel_scope.cancel()
    place: tuple[Channel, Priority, str] = "sms", "normal", "A"
    assert after[place] - before[place] >= 200


def test_a_charge_for_whom_nobody_knows_is_none() -> None:
    lane = Lane(1)
    lane.charge("A", 1000)
    lane.add("a", batch("A", "a", 10))
    lane.add("b", batch("B", "b", 10))
    assert Counter(callers(lane, 10))["A"] == 5
