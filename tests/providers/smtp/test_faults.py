"""Connections that break, stall or are reset at every byte: what is told is what happened."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from carillon.messages.model import Accepted, Attempt, Refused, Unanswered, Unavailable
from carillon.providers.smtp.provider import Smtp
from carillon.providers.smtp.server import SmtpServer as Where
from tests.neighbours.smtp import Direction, Fault, FaultKind, SmtpScript, smtp_server
from tests.properties import is_nightly
from tests.providers.deliveries import Starts, email
from tests.providers.smtp.test_provider import ADA, KNOWN, PLAIN, STARTTLS

TIMEOUT = 30.0
KINDS: tuple[FaultKind, ...] = ("cut", "stall", "reset")


@dataclass
class Told:
    """What was told of a mail, by a guard that gives up after a while, and what was taken."""

    attempt: Attempt
    starts: Starts = field(default_factory=Starts)
    taken: int = 0


@dataclass(frozen=True)
class Case:
    """A server, how it is spoken to, and how many mails have gone over the connection before."""

    script: SmtpScript
    where: Where = PLAIN
    trust: ssl.SSLContext | None = None
    before: int = 0

    async def tell(self, fault: Fault | None) -> tuple[Told, dict[Direction, int]]:
        """What is told of the last mail, and how much the first connection carried in all."""
        async with smtp_server(self.script) as server:
            server.faults = [fault]
            smtp = Smtp(
                self.where, self.trust, account=ADA if self.trust else None, connect=server.connect
            )
            try:
                for _ in range(self.before):
                    assert await smtp.send(email(), Starts()) == Accepted("4F7A9")
                told = await _guarded(smtp)
                with trio.move_on_after(1):  # what was written before it ended may still arrive
                    await trio.testing.wait_all_tasks_blocked(0.001)
                told.taken = len(server.mails) - self.before
                return told, server.wires[0].counts
            finally:
                await smtp.aclose()


async def _guarded(smtp: Smtp) -> Told:
    """As a guard does: what did not start in time has not begun, what did is to say so itself."""
    starts = Starts()
    with trio.move_on_after(TIMEOUT):
        return Told(await smtp.send(email(), starts), starts)
    assert not starts.times
    return Told(Unavailable("no connection in time"), starts)


def check(told: Told, fault: Fault) -> None:
    assert told.taken <= 1
    match told.attempt:
        case Accepted():
            assert told.taken == 1, fault
        case Unavailable() | Refused():
            assert told.taken == 0, fault
        case Unanswered():
            assert told.starts.times
        case _:
            pytest.fail(f"{fault}: {told.attempt}")


def faults(counts: dict[Direction, int], begun: dict[Direction, int], step: int) -> Iterator[Fault]:
    """Every kind at every byte that is said or heard for the last mail; a stall at some of them."""
    directions: tuple[Direction, Direction] = ("said", "heard")
    for direction in directions:
        for after in range(begun[direction], counts[direction]):
            for kind in KINDS:
                if kind != "stall" or after % step == 0 or is_nightly():
                    yield Fault(kind, direction, after)


CASES = {
    "new": Case(SmtpScript()),
    "used": Case(SmtpScript(), before=1),
    "in turn": Case(SmtpScript(knows=["SIZE"])),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
async def test_at_every_byte_the_truth_is_told(name: str, autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.02
    case = CASES[name]
    _, counts = await case.tell(None)
    begun: dict[Direction, int] = {"said": 0, "heard": 0}
    if case.before:
        _, begun = await Case(case.script).tell(None)
    seen = set()
    for fault in faults(counts, begun, step=17):
        told, _ = await case.tell(fault)
        check(told, fault)
        seen.add(type(told.attempt))
    # A used connection that breaks before its message is one too many, and another one carries it.
    assert seen >= (
        {Accepted, Unanswered, Unavailable} if case.before else {Unanswered, Unavailable}
    )


@pytest.mark.slow
async def test_over_tls_too(
    autojump_clock: MockClock, server_tls: ssl.SSLContext, certificate: Path
) -> None:
    autojump_clock.autojump_threshold = 0.02
    trust = ssl.create_default_context(cafile=certificate)
    case = Case(SmtpScript(tls=server_tls, accounts=KNOWN), STARTTLS, trust)
    told, counts = await case.tell(None)
    assert told.attempt == Accepted("4F7A9")
    seen = set()
    begun: dict[Direction, int] = {"said": 0, "heard": 0}
    step = 1 if is_nightly() else 13
    for fault in list(faults(counts, begun, step=50))[::step]:
        told, _ = await case.tell(fault)
        check(told, fault)
        seen.add(type(told.attempt))
    assert seen >= {Unanswered, Unavailable}
