"""Providers without a network, deliveries to send through them, and who waits for the answers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from math import inf

import trio

from carillon.actors.provider.call import (
    Call,
    Decision,
    Finish,
    NextProvider,
    Requeue,
    RetryAfter,
)
from carillon.actors.provider.guard import Guard, Permit
from carillon.http_client.ports import Started
from carillon.messages.envelope import Envelope
from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import (
    Accepted,
    Attempt,
    Channel,
    Delivery,
    Priority,
    Receipt,
    TextContent,
)
from carillon.messages.ports.journal import AttemptEnd, AttemptStart, StartsTold


@dataclass(frozen=True, slots=True)
class Deaf:
    """Goes on for so many seconds whoever cancels it, and then accepts."""

    seconds: float
    starts: bool = True


@dataclass(frozen=True, slots=True)
class Breaks:
    """Raises once bytes have left: a bug that strikes where it hurts most."""

    error: Exception = field(default_factory=lambda: RuntimeError("bug"))


@dataclass(frozen=True, slots=True)
class Connects:
    """Takes so many seconds before the first byte leaves, then goes on as `then` says."""

    seconds: float
    then: Attempt | float | Breaks = 0.0


Act = Attempt | Exception | float | Connects | Deaf | Breaks
"""What a scripted call does: answer so, raise, or take so many seconds and then accept."""


class Script:
    """Plays a list of acts for each delivery id, then accepts; remembers every start.

    With `one_at_a_time`, deliveries to one address share a turn.
    """

    def __init__(self, latency: float = 0.0, /, **acts: Sequence[Act]) -> None:
        self._acts = {name: list(listed) for name, listed in acts.items()}
        self._latency = latency
        self.calls: list[tuple[float, str]] = []
        self.open = 0
        self.most_open = 0
        self.one_at_a_time = False

    async def send(self, delivery: Delivery, started: Started) -> Attempt:
        await trio.lowlevel.checkpoint()
        act: Act = self._latency
        with suppress(IndexError, KeyError):
            act = self._acts[delivery.id].pop(0)
        if isinstance(act, Connects):
            await trio.sleep(act.seconds)
            act = act.then
        if not isinstance(act, Deaf) or act.starts:
            self.calls.append((trio.current_time(), delivery.id))
            if isinstance(act, Exception):
                raise act
            started()
        return await self._answer(act)

    async def _answer(self, act: Act) -> Attempt:
        self.open += 1
        self.most_open = max(self.open, self.most_open)
        try:
            if isinstance(act, Breaks):
                raise act.error
            if isinstance(act, float | Deaf):
                with trio.CancelScope(shield=isinstance(act, Deaf)):
                    await trio.sleep(act if isinstance(act, float) else act.seconds)
                return Accepted()
            assert isinstance(act, Attempt)
            await trio.sleep(self._latency)
            return act
        finally:
            self.open -= 1

    def serialize_by(self, delivery: Delivery) -> str | None:
        return delivery.address if self.one_at_a_time else None

    async def aclose(self) -> None:
        pass

    @property
    def ids(self) -> list[str]:
        return [name for _, name in self.calls]

    @property
    def times(self) -> list[float]:
        return [at for at, _ in self.calls]


def delivery(
    identity: str,
    channel: Channel = "sms",
    dispatch: str = "dispatch",
    address: str = "+390000000",
) -> Delivery:
    return Delivery(
        id=identity,
        dispatch_id=dispatch,
        channel=channel,
        key=f"user/{identity}",
        user_id=identity,
        address=address,
        sender="Shop",
        content=TextContent(f"text of {identity}"),
    )


def envelope(
    identity: str,
    reply: Callable[[Receipt], None] | None = None,
    channel: Channel = "sms",
    *,
    dispatch: str = "dispatch",
    address: str = "+390000000",
    priority: Priority = "normal",
    expires_at: float = inf,
) -> Envelope:
    return Envelope(
        delivery(identity, channel, dispatch, address),
        reply or (lambda _: None),
        priority,
        expires_at,
    )


class Answers:
    """Keeps receipts in their order; two for one delivery are an error."""

    def __init__(self) -> None:
        self.receipts: dict[str, Receipt] = {}
        self.times: dict[str, float] = {}
        self._news = trio.Event()

    def reply(self, receipt: Receipt) -> None:
        assert receipt.delivery_id not in self.receipts, "answered twice"
        self.receipts[receipt.delivery_id] = receipt
        self.times[receipt.delivery_id] = trio.current_time()
        self._news.set()
        self._news = trio.Event()

    async def answered(self, number: int, within: float = 600) -> None:
        with trio.fail_after(within):
            while len(self.receipts) < number:
                await self._news.wait()

    def outcomes(self) -> dict[str, str]:
        return {name: one.outcome for name, one in self.receipts.items()}

    def reasons(self) -> dict[str, str]:
        return {name: one.reason for name, one in self.receipts.items()}

    def providers(self) -> dict[str, str | None]:
        return {name: one.provider for name, one in self.receipts.items()}


class Caller:
    """Calls through one guard as soon as it allows, and waits where it says so."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._news = trio.Event()
        guard.listen(self._tell)

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def permit(self) -> Permit:
        while (opens_at := self._guard.opens_at(trio.current_time())) > trio.current_time():
            with trio.move_on_at(opens_at):
                await self._news.wait()
        return self._guard.permit(None)

    async def attempt(self, envelope: Envelope) -> Decision:
        """One call. A bug of the provider's comes out as it is."""
        guard, permit, error = self._guard, await self.permit(), None
        call, attempt = guard.call(envelope, permit), None
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as scope:
                nursery.start_soon(_cancel_at_deadline, call, scope)
                try:
                    attempt = await guard.make(call)
                    permit.answered = True
                except Exception as bug:
                    error = bug
                finally:
                    guard.release(permit)
            nursery.cancel_scope.cancel()
        if error is not None:
            raise error
        return guard.judge(call, call.overdue() if scope.cancelled_caught else attempt)

    async def deliver(self, envelope: Envelope) -> Finish | NextProvider:
        """Attempt after attempt, until there is nothing left to do here."""
        while isinstance(verdict := await self.attempt(envelope), RetryAfter | Requeue):
            await trio.sleep(verdict.seconds if isinstance(verdict, RetryAfter) else 0)
        return verdict


async def _cancel_at_deadline(call: Call, scope: trio.CancelScope) -> None:
    """It may be moved while this waits."""
    while trio.current_time() < call.deadline:
        await trio.sleep_until(call.deadline)
    scope.cancel()


def ignore(_: object) -> None:
    """An observer that looks away."""


class Log:
    """Remembers which attempts were put on record; `broken` refuses them."""

    def __init__(self) -> None:
        self.broken = False
        self.starts: list[AttemptStart] = []
        self.ends: list[AttemptEnd] = []

    def start_all(self, attempts: Sequence[AttemptStart], told: StartsTold) -> None:
        error = JournalUnavailable("broken")
        if not self.broken:
            self.starts += attempts
        told(dict.fromkeys(range(len(attempts)), error) if self.broken else {})

    def end(self, attempt: AttemptEnd) -> None:
        self.ends.append(attempt)
