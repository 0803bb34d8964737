"""The sandbox: what it keeps, and how it is told to go wrong."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from carillon.messages.model import Accepted, Delivery, Refused, Unanswered, Unavailable
from carillon.providers.sandbox import KEPT, PAUSE, Rehearsal, Sandbox
from tests.providers.deliveries import Starts, email, push, sms

REFUSED = Refused("sandbox answered 400: told to refuse")
THROTTLED = Unavailable("sandbox answered 429: told to throttle", PAUSE, throttled=True)
FAILED = Unavailable("sandbox answered 503: told to fail")
LOST = Unanswered("sandbox: no answer: told to lose it")


async def test_it_accepts_keeps_and_tells_every_message() -> None:
    heard: list[Delivery] = []
    sandbox = Sandbox(on_message=heard.append)
    starts = Starts()
    assert await sandbox.send(email(), starts) == Accepted("sandbox-1")
    assert await sandbox.send(sms(), starts) == Accepted("sandbox-2")
    assert list(sandbox.messages) == heard == [email(), sms()]
    assert len(starts.times) == sandbox.attempts == 2


async def test_it_keeps_a_bounded_number() -> None:
    sandbox = Sandbox()
    for _ in range(KEPT + 5):
        await sandbox.send(sms(), Starts())
    assert (len(sandbox.messages), sandbox.attempts) == (KEPT, KEPT + 5)


async def test_a_test_can_say_what_comes_next() -> None:
    sandbox = Sandbox()
    sandbox.will("throttle", "fail", "lose", "refuse")
    outcomes = [await sandbox.send(sms(), Starts()) for _ in range(5)]
    assert outcomes == [THROTTLED, FAILED, LOST, REFUSED, Accepted("sandbox-5")]
    assert len(sandbox.messages) == 1


@pytest.mark.parametrize(
    ("delivery", "outcome"),
    [
        (email(address="anna+refuse@example.com"), REFUSED),
        (email(address="anna+throttle@example.com"), THROTTLED),
        (push(address="token+fail"), FAILED),
        (push(address="token+lose"), LOST),
        (sms(address="+393300400"), REFUSED),
        (sms(address="+393300429"), THROTTLED),
        (sms(address="+393300503"), FAILED),
    ],
)
async def test_an_address_can_say_it(delivery: Delivery, outcome: object) -> None:
    assert await Sandbox().send(delivery, Starts()) == outcome


async def test_a_crash_raises_before_the_start() -> None:
    starts = Starts()
    with pytest.raises(RuntimeError, match="told to crash"):
        await Sandbox().send(email(address="anna+crash@example.com"), starts)
    assert starts.times == []


async def test_a_time_out_hangs_until_the_caller_gives_up(autojump_clock: MockClock) -> None:
    starts = Starts()
    with trio.move_on_after(30) as scope:
        await Sandbox().send(sms(address="+393300504"), starts)
    assert scope.cancelled_caught
    assert len(starts.times) == 1


async def test_latency_is_the_time_of_every_call(autojump_clock: MockClock) -> None:
    await Sandbox(Rehearsal(latency=2.5)).send(sms(), Starts())
    assert trio.current_time() == 2.5


@pytest.mark.parametrize(
    ("drawn", "outcome"),
    [(0.05, REFUSED), (0.15, THROTTLED), (0.25, FAILED), (0.35, LOST), (0.45, None)],
)
async def test_a_rehearsal_fails_by_chance(drawn: float, outcome: object) -> None:
    rehearsal = Rehearsal(refuse=0.1, throttle=0.1, fail=0.1, lose=0.1)
    made = await Sandbox(rehearsal, draw=lambda: drawn).send(sms(), Starts())
    assert made == outcome or (outcome is None and isinstance(made, Accepted))
