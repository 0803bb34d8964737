"""The workers of one channel without a supervisor: nothing looks twice, so a lost wake-up shows."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from math import inf

import trio

from carillon.actors.inbox import Inbox
from carillon.actors.open_calls import CallContext, OpenCalls
from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits
from carillon.actors.router import Choice, Route
from carillon.actors.scheduler import Scheduler
from carillon.messages.envelope import Envelope
from carillon.messages.model import Channel, Priority
from carillon.providers.ports import Provider
from tests.actors.fakes import Answers, Log, envelope, ignore


def guard(name: str, provider: Provider, limits: Limits | None = None) -> Guard:
    """A guard that draws the longest waits."""
    return Guard(name, provider, limits or Limits(), ignore, draw=lambda: 1.0)


def route(*guards: Guard) -> Route:
    return Route([Choice(one) for one in guards])


class Workshop(Answers):
    """A channel's inbox, its scheduler and its workers, and the answers that they give."""

    def __init__(
        self,
        of: Route | Guard,
        parking: int = 1000,
        channel: Channel = "sms",
        log: Log | None = None,
    ) -> None:
        super().__init__()
        self.route = of if isinstance(of, Route) else route(of)
        self.channel = channel
        self.inbox = Inbox(2000, parking)
        self.log = log or Log()
        self.scheduler = Scheduler(self.inbox, self.route)
        self.bugs: list[Exception] = []
        context = CallContext(self.route, self.log, self._refuse, self._crashed)
        self.calls = OpenCalls(self.inbox, self.scheduler, context)

    def _crashed(self, bug: Exception, _: Envelope | None) -> float:
        self.bugs.append(bug)
        return 0.0

    def _refuse(self, envelope: Envelope) -> None:
        envelope.end("failed", "channel-down")

    def put(
        self,
        *names: str,
        dispatch: str = "dispatch",
        address: str = "+390000000",
        priority: Priority = "normal",
        expires_at: float = inf,
    ) -> list[Envelope]:
        envelopes = [
            envelope(
                name,
                self.reply,
                self.channel,
                dispatch=dispatch,
                address=address,
                priority=priority,
                expires_at=expires_at,
            )
            for name in names
        ]
        self.inbox.put(envelopes)
        self.scheduler.notify()
        return envelopes

    def close(self) -> None:
        self.inbox.close()
        self.scheduler.notify()

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """The channel's task around the body; drained after it."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.calls.run)
            yield
            self.close()
