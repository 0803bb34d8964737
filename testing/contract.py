"""What holds for every provider that is called over HTTP, each in a check of its own."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

import trio

from carillon.http_client.client import Http1Wire
from carillon.http_client.ports import Wire
from carillon.messages.model import (
    Accepted,
    Attempt,
    Delivery,
    Postponed,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.providers.ports import Provider, Reachable
from carillon.testing.stand_in import Answer, Received, Reply, StandIn, serving

PATIENCE: Final = 20.0
"""Seconds in which a call must have ended, on a machine that is busy."""
LONGEST_ERROR: Final = 1000
_FAULTS: Final = ("disconnect", "cut-head", "garbage")
_FAILURES: Final = (302, 400, 401, 403, 404, 405, 408, 409, 410, 413, 415, 418, 422, 425, 429)
_BREAKDOWNS: Final = (500, 501, 502, 503, 504, 505, 507, 599)
_BODIES: Final = (
    b"",
    b"{}",
    b"[]",
    b"null",
    b"7",
    b'"text"',
    b"<!doctype html><title>Bad gateway</title>",
    b"\xff\xfe\x00 not UTF-8",
    b"[" * 30_000,
    b'{"message": "' + b"x" * 100_000 + b'"}',
    b'{"error": {"code": "7", "message": ["a"]}, "errors": [7, {}], "message": 7}',
)
_MOST_STEPS: Final = 200

MakeProvider = Callable[[str, Wire], Provider]


@dataclass(frozen=True, slots=True)
class Subject:
    """A provider to check.

    `make` builds one from the address of its service and a wire. `deliveries` are what it carries,
    `secrets` what no error and no `repr` may show. `accepting` is what its service answers to a
    message that it takes, with another message id each time if there is one in it; `prepares`
    answers requests that only prepare, such as one for a token, and gives None for all others.
    """

    make: MakeProvider
    deliveries: Sequence[Delivery]
    secrets: Sequence[str] = ()
    accepting: Answer | Reply = field(default_factory=lambda: Answer(200, b"{}"))
    prepares: Callable[[Received], Answer | None] = lambda _: None

    def replying(self, reply: Reply) -> Reply:
        """A reply of the service that answers what prepares as ever."""
        return lambda request: self.prepares(request) or reply(request)

    @asynccontextmanager
    async def before(self, reply: Answer | Reply) -> AsyncGenerator[tuple[Provider, StandIn]]:
        """The provider before a service that replies so; it is closed at the end."""
        whole = partial(_answering, reply) if isinstance(reply, Answer) else reply
        async with serving(self.replying(whole)) as stand_in:
            provider = self.make(stand_in.url, Http1Wire())
            try:
                yield provider, stand_in
            finally:
                await provider.aclose()


Check = Callable[[Subject], Awaitable[None]]


class Starts:
    """A `Started` that remembers when it was called."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self) -> float:
        """Give until when the answer is waited for."""
        self.times.append(trio.current_time())
        return trio.current_time() + PATIENCE


async def sent(provider: Provider, delivery: Delivery, starts: Starts | None = None) -> Attempt:
    """One attempt, which must end in time and be a value."""
    with trio.fail_after(PATIENCE):
        made: object = await provider.send(delivery, starts or Starts())
    is_attempt = isinstance(made, Accepted | Refused | Unavailable | Unanswered | Postponed)
    hold(is_attempt, f"send gave {made!r}, which is no attempt")
    return cast("Attempt", made)


def hold(true: object, text: str) -> None:
    """Raise AssertionError with the text unless it is true."""
    if not true:
        raise AssertionError(text)


async def an_accepted_message_is_accepted(subject: Subject) -> None:
    """What the service takes is accepted; its id is one printable word."""
    for delivery in subject.deliveries:
        async with subject.before(subject.accepting) as (provider, stand_in):
            made = await sent(provider, delivery)
            hold(isinstance(made, Accepted), f"an accepted message came to {made!r}")
            hold(stand_in.received, "nothing was sent")
            word = made.message_id if isinstance(made, Accepted) else None
            is_word = word is None or (word.isascii() and word.isprintable() and " " not in word)
            hold(is_word, f"the message id is {word!r}")


async def started_is_called_before_the_first_byte(subject: Subject) -> None:
    """Once, or a second time directly after it; never for requests that only prepare."""
    for delivery in subject.deliveries:
        async with subject.before(subject.accepting) as (provider, stand_in):
            starts = Starts()
            await sent(provider, delivery, starts)
            calls = [one for one in stand_in.received if subject.prepares(one) is None]
            hold(starts.times, "`started` was never called")
            hold(len(calls) == 1, f"{len(calls)} requests were sent for one attempt")
            hold(starts.times[0] <= calls[0].began, "a byte came before `started` was called")


async def without_a_connection_nothing_starts(subject: Subject) -> None:
    """Nobody listens: the message is unavailable, and `started` was not called."""
    async with serving(Answer()) as gone:
        url = gone.url
    for delivery in subject.deliveries:
        provider, starts = subject.make(url, Http1Wire()), Starts()
        made = await sent(provider, delivery, starts)
        await provider.aclose()
        hold(isinstance(made, Unavailable | Postponed), f"no connection came to {made!r}")
        hold(not starts.times, "`started` was called, and no byte left")


async def every_failure_means_something(subject: Subject) -> None:
    """No 3xx, 4xx or 5xx is accepted, whatever its body; 5xx and 429 are no verdict."""

    def judge(status: int, made: Attempt, shown: str) -> None:
        hold(not isinstance(made, Accepted), shown)
        if status >= _BREAKDOWNS[0] or status == 429:  # noqa: PLR2004 - too many requests
            hold(not isinstance(made, Refused), shown)

    await _judge_each(subject, (*_FAILURES, *_BREAKDOWNS), judge)


async def every_success_means_something(subject: Subject) -> None:
    """A 2xx of any body is a value: accepted, or what the service says within."""

    def judge(_: int, made: Attempt, shown: str) -> None:
        hold(not isinstance(made, Postponed), shown)

    await _judge_each(subject, (200, 201, 202, 299), judge)


async def _judge_each(
    subject: Subject, statuses: Sequence[int], judge: Callable[[int, Attempt, str], None]
) -> None:
    """Answer with each status and each body, and judge what the calls came to."""
    async with subject.before(Answer()) as (provider, stand_in):
        for status in statuses:
            for body in _BODIES:
                stand_in.reply = subject.replying(partial(_answering, Answer(status, body)))
                made = await sent(provider, subject.deliveries[0])
                judge(status, made, f"{status} with {body[:30]!r} came to {made!r}")


def _answering(answer: Answer, _: Received) -> Answer:
    return answer


async def a_wait_is_taken_from_the_answer(subject: Subject) -> None:
    """429 throttles, for as long as its `Retry-After` says."""
    async with subject.before(Answer(429, b"{}", {"retry-after": "7"})) as (provider, _):
        made = await sent(provider, subject.deliveries[0])
    hold(isinstance(made, Unavailable) and made.throttled, f"429 came to {made!r}")
    wait = made.retry_after if isinstance(made, Unavailable) else None
    hold(wait == 7, f"Retry-After: 7 came to a wait of {wait!r}")  # noqa: PLR2004 - as it says


async def a_lost_answer_is_in_doubt(subject: Subject) -> None:
    """A request was written and no answer came: nobody knows what became of it."""
    for fault in _FAULTS:
        broken = Answer(200, b"{}", fault=fault)
        async with subject.before(partial(_answering, broken)) as (provider, _):
            starts = Starts()
            made = await sent(provider, subject.deliveries[0], starts)
        hold(isinstance(made, Unanswered), f"{fault} came to {made!r}")
        hold(starts.times, f"{fault}: `started` was never called")


async def no_error_shows_what_nobody_may_see(subject: Subject) -> None:
    """Secrets, address and text stay out of errors, though the service repeats all of them."""
    delivery = subject.deliveries[0]
    hidden = [*subject.secrets, delivery.address]
    for status in (200, 400, 401, 422, 429, 500):
        async with subject.before(partial(_echo, status)) as (provider, _):
            made = await sent(provider, delivery)
            shown = f"{made!r} {provider!r} {provider}"
        for one in hidden:
            hold(one not in shown, f"after a {status} that repeats the request {one!r} is shown")
        error = "" if isinstance(made, Accepted) else made.error
        hold(len(error) <= LONGEST_ERROR, f"an error of {len(error)} characters")
        hold(error.isprintable(), f"an error that is not one printable line: {error!r}")


def _echo(status: int, request: Received) -> Answer:
    """All of a request in every place in which services put words for people."""
    said = " ".join([request.target, *request.headers.values(), request.body.decode("latin-1")])
    error = {"message": said, "status": said, "code": 7, "details": [{"reason": said}]}
    body = {**error, "error": error, "errors": [error], "messages": [{"error-text": said}]}
    return Answer(status, json.dumps(body).encode(), {"content-type": "application/json"})


async def it_can_be_cancelled_at_every_await(subject: Subject) -> None:
    """After each step of a call it may be cancelled: nothing raises, and the next call works."""
    for delivery in subject.deliveries:
        async with subject.before(subject.accepting) as (provider, _):
            for step in range(1, _MOST_STEPS):
                if not await _cut_off(provider, delivery, step):
                    break
                made = await sent(provider, delivery)
                hold(isinstance(made, Accepted), f"cancelled at step {step}: then {made!r}")
            else:
                raise AssertionError(f"a call takes more than {_MOST_STEPS} steps")


async def _cut_off(provider: Provider, delivery: Delivery, step: int) -> bool:
    """Cancel a call after so many of its steps; whether it was still under way."""
    scope = trio.CancelScope()
    stepper = _Stepper(step, scope)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_in_scope, scope, provider, delivery, stepper)
    return scope.cancelled_caught


async def _in_scope(
    scope: trio.CancelScope, provider: Provider, delivery: Delivery, stepper: _Stepper
) -> None:
    stepper.task = trio.lowlevel.current_task()
    trio.lowlevel.add_instrument(stepper)
    try:
        with scope:
            await sent(provider, delivery)
    finally:
        trio.lowlevel.remove_instrument(stepper)


class _Stepper(trio.abc.Instrument):
    """Cancels a scope once a task has taken so many steps."""

    def __init__(self, steps: int, scope: trio.CancelScope) -> None:
        self.task: trio.lowlevel.Task | None = None
        self._left = steps
        self._scope = scope
        self._token = trio.lowlevel.current_trio_token()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        """Count, and cancel after the last: from outside, as an instrument may change nothing."""
        if task is self.task:
            self._left -= 1
            if not self._left:
                self._token.run_sync_soon(self._scope.cancel)


async def it_says_whether_its_service_can_be_reached(subject: Subject) -> None:
    """Where it is `Reachable` it connects, asks for nothing, and gives a sentence or None."""
    async with subject.before(subject.accepting) as (provider, stand_in):
        if not isinstance(provider, Reachable):
            return
        with trio.fail_after(PATIENCE):
            hold(await provider.reach() is None, "a service that listens is not reached")
        hold(not stand_in.received, "`reach` sent a request")
        url = stand_in.url
    provider = subject.make(url, Http1Wire())
    if isinstance(provider, Reachable):
        with trio.fail_after(PATIENCE):
            hold(await provider.reach(), "a service that is gone is reached")
    await provider.aclose()


async def deliveries_that_take_turns_agree_on_it(subject: Subject) -> None:
    """`serialize_by` is the same each time, and closing twice does no harm."""
    async with subject.before(subject.accepting) as (provider, _):
        for delivery in subject.deliveries:
            turn = provider.serialize_by(delivery)
            hold(turn is None or isinstance(turn, str), f"serialize_by gave {turn!r}")
            hold(provider.serialize_by(delivery) == turn, "serialize_by differs from call to call")
        await provider.aclose()


CHECKS: Final[Sequence[Check]] = (
    an_accepted_message_is_accepted,
    started_is_called_before_the_first_byte,
    without_a_connection_nothing_starts,
    every_failure_means_something,
    every_success_means_something,
    a_wait_is_taken_from_the_answer,
    a_lost_answer_is_in_doubt,
    no_error_shows_what_nobody_may_see,
    it_can_be_cancelled_at_every_await,
    it_says_whether_its_service_can_be_reached,
    deliveries_that_take_turns_agree_on_it,
)
"""All that a provider has to keep."""
