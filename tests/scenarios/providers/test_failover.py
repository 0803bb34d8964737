"""A provider dies, slows down, throttles, lies and comes back while another one carries on.

Everything over sockets, under a steady stream of dispatches. What must hold: each delivery has one
outcome; none that may have been sent was sent again; the backup takes over and gives back.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio

from carillon.messages.events import BreakerMoved
from carillon.messages.model import Document, JsonValue
from tests.neighbours.http import Answer, Request, serve
from tests.running import Running, running

USERS: list[Document] = [
    {"_id": f"u{number:04}", "emailAddress": f"u{number:04}@x.test"} for number in range(2000)
]
COOLDOWN = 0.5
PACE = 0.01
GOOD = Answer(200, b"{}")


def configuration(first: str, second: str) -> Document:
    breaker: JsonValue = {"failures": 3, "cooldown": f"{COOLDOWN}s"}
    retry: JsonValue = {"attempts": 2, "firstDelay": "20ms", "maxDelay": "20ms"}
    common: Document = {"type": "mail-service", "timeout": "200ms", "breaker": breaker}
    return {
        "activeChannels": ["email"],
        "sender": {"email": "shop@example.com"},
        "channels": {"email": {"providers": ["first", "second"]}},
        "providers": {
            "first": {**common, "url": first, "retry": retry},
            "second": {**common, "url": second, "retry": retry},
        },
    }


@dataclass
class World:
    """The service, both providers' memories, and what callers were told.

    `unread` had reached the first one when it died, and it had not looked yet.
    """

    service: Running
    port: int
    seconds: list[Request] = field(default_factory=list)
    firsts: list[Request] = field(default_factory=list)
    told: dict[str, str] = field(default_factory=dict)
    mood: Answer = GOOD
    unread: str = ""

    async def first(self, request: Request) -> Answer:
        self.firsts.append(request)
        return self.mood

    async def dispatches(self, scope: trio.CancelScope) -> None:
        """One dispatch for one user each few milliseconds, until the scope is cancelled."""
        async with trio.open_nursery() as nursery:
            for user in USERS:
                if scope.cancel_called:
                    return
                nursery.start_soon(self._send, str(user["_id"]))
                await trio.sleep(PACE)

    async def _send(self, name: str) -> None:
        answer = await self.service.send(channels=["email"], recipients=[name])
        failures = answer.json()["failures"]
        self.told[name] = failures[0]["error"] if failures else "sent"

    def since(self, time: float, seen: list[Request]) -> list[Request]:
        return [request for request in seen if request.arrived >= time]

    async def takes_over(self, within: float = 2.0) -> float:
        """Seconds until five deliveries in a row went to the second provider only."""
        return await self._goes_to(self.seconds, self.firsts, within)

    async def gives_back(self, within: float = 3.0) -> float:
        """Seconds until five deliveries in a row went to the first provider only."""
        return await self._goes_to(self.firsts, self.seconds, within)

    async def _goes_to(self, wanted: list[Request], other: list[Request], within: float) -> float:
        began = trio.current_time()
        with trio.fail_after(within):
            while True:
                last = other[-1].arrived if other else 0.0
                row = [one for one in wanted if one.arrived > max(last, began)]
                if len(row) >= 5:
                    return row[0].arrived - began
                await trio.sleep(0.01)


@asynccontextmanager
async def world(tmp_path: Path) -> AsyncGenerator[World]:
    seconds: list[Request] = []

    async def backup(request: Request) -> Answer:
        seconds.append(request)
        return GOOD

    async with serve(GOOD) as free:
        port = int(free.url.rpartition(":")[2])
    async with serve(backup) as second:
        urls = (f"http://127.0.0.1:{port}", second.url)
        async with running(tmp_path, configuration(*urls), users=USERS) as service:
            yield World(service, port, seconds)


def receivers(requests: list[Request]) -> Counter[str]:
    return Counter(str(one.json()["recipient"]).partition("@")[0] for one in requests)  # type: ignore[index, call-overload]


async def test_the_backup_carries_on_through_every_trouble(tmp_path: Path) -> None:
    async with world(tmp_path) as it, trio.open_nursery() as nursery:
        scope = trio.CancelScope()
        done = trio.Event()

        async def traffic() -> None:
            await it.dispatches(scope)
            done.set()

        nursery.start_soon(traffic)
        switched = [await it.takes_over()]  # nobody listens at the first one's port yet
        async with serve(it.first, it.port) as dies:
            back = [await it.gives_back()]
            for trouble in (
                Answer(503),
                Answer(429, headers={"retry-after": "1"}),
                Answer(200, b"{}", delay=1.0),  # slower than the timeout: in doubt
                Answer(fault="garbage"),
            ):
                it.mood = trouble
                switched.append(await it.takes_over())
                it.mood = GOOD
                back.append(await it.gives_back())
            it.mood = Answer(
                200, b"<html>not what the contract says", {"content-type": "text/html"}
            )
            await it.gives_back()
            it.mood = GOOD
        it.unread = dies.unread.decode()
        switched.append(await it.takes_over())  # it died
        async with serve(it.first, it.port):
            back.append(await it.gives_back())
            scope.cancel()
            await done.wait()
        _check(it)
    print(f"switched after {[round(one, 2) for one in switched]} s")  # noqa: T201 - for the note
    print(f"came back after {[round(one, 2) for one in back]} s")  # noqa: T201
    assert max(switched) < 1.0
    assert max(back) < 1.0 + COOLDOWN + 0.6


def _check(it: World) -> None:
    outcomes = {name: outcome for (name, _), (outcome, _) in it.service.outcomes().items()}
    assert set(outcomes) == set(it.told)
    assert set(outcomes.values()) <= {"sent", "in-doubt"}
    answered = receivers([one for one in it.firsts + it.seconds if one.answered is not None])
    for name, outcome in outcomes.items():
        assert (it.told[name] == "sent") == (outcome == "sent"), it.told[name]
        if outcome == "in-doubt":  # it reached a provider once, and nobody asked again
            reached = receivers(it.firsts + it.seconds)[name] + it.unread.count(f"{name}@x.test")
            assert reached == 1
        else:
            assert answered[name] >= 1
    doubts = [name for name, outcome in outcomes.items() if outcome == "in-doubt"]
    assert doubts
    moves = [event.state for event in it.service.events if isinstance(event, BreakerMoved)]
    assert {"open", "half-open", "closed"} <= set(moves)
