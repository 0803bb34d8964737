"""Connections that wait for their next request, the one that rested longest first.

Nobody says when a server closes a connection that idles, and a request that is written just then
is in doubt. So an origin's connections are used again only after one of them has rested a moment
unharmed; an origin that closes them at once, or under a request, is learnt to do so.

Nor does anybody say that an answer is to the request before it: after one answer too many each
later one is to another request. A connection that has rested for longer than its answers take,
and silently, owes none. So they rest in turn, are looked at again, and must rest now and then.
Time in which this process, or its machine, stood still proves no silence: what came meanwhile may
be heard a moment later. So the silence is believed by the look alone, which waits for that moment.
"""

from __future__ import annotations

import re
from collections import deque
from math import inf
from time import perf_counter
from typing import Final

import trio

from carillon.http_client.connection import QUIET_SECONDS, Connection, SeenIds
from carillon.http_client.errors import IDLE_SECONDS
from carillon.http_client.target import Origin

LESSON_SECONDS: Final = 60.0
"""How long what an origin did is held against it; twice as long each time, up to ten minutes."""
_LONGEST_LESSON: Final = 10 * LESSON_SECONDS
_ENOUGH: Final = 2
"""After so many bad experiences in a row no connection is used again for a while."""
_MARGIN: Final = 1.0
_MOMENT: Final = QUIET_SECONDS / 10
"""What has arrived is heard within so many seconds in which this process runs."""
_MOMENTS: Final = 5
"""A loop that is always late would else keep connections from use."""
_TIMEOUT: Final = re.compile(r"(?:\A|[\s,;])timeout\s*=\s*\"?([0-9]{1,9})", re.I)


class _Rest:
    """The idle connections of one origin, and what was learnt of it."""

    __slots__ = (
        "_early",
        "_lesson",
        "_losses",
        "_shorter_until",
        "_warned_at",
        "idle",
        "ids",
        "is_proven",
        "lasts",
        "resting",
        "unused_until",
    )

    def __init__(self) -> None:
        self.idle: deque[Connection] = deque()
        self.resting: list[Connection] = []
        self.ids = SeenIds()
        self.is_proven = False
        self.unused_until = -inf
        self.lasts = IDLE_SECONDS
        self._shorter_until = -inf
        self._early = 0
        self._losses = 0
        self._warned_at = -inf
        self._lesson = LESSON_SECONDS

    def longest(self, connection: Connection, now: float) -> float:
        """For how many seconds this connection may rest."""
        if now >= self._shorter_until:
            self.lasts = IDLE_SECONDS
        return min(self.lasts, connection.lasts)

    def knows_anything(self, now: float) -> bool:
        """Whether something would be forgotten with it."""
        return bool(self.idle or self.resting) or now < max(self._shorter_until, self.unused_until)

    def stays(self) -> None:
        """A connection has rested a moment unharmed."""
        self.is_proven = True
        self._early = 0

    def closed(self, connection: Connection, now: float) -> None:
        """An idle connection was found closed: nothing is lost, but it says how long they last."""
        rested = now - connection.idle_since
        if rested >= _MARGIN:
            self._shorten(0.8 * rested, now)
            return
        self.is_proven = False
        if self._is_news(connection, now):
            self._early += 1
        if self._early >= _ENOUGH:
            self._use_none(now)

    def lost(self, connection: Connection, now: float) -> None:
        """A request was lost on a connection that had rested: shorter, then not at all."""
        self.is_proven = False
        if now >= self._shorter_until:
            self._losses = 0
        if self._is_news(connection, now):
            self._losses += 1
        if self._losses >= _ENOUGH:
            self._use_none(now)
        else:
            self._shorten(max(connection.rested / 2, 2 * QUIET_SECONDS), now)

    def _is_news(self, connection: Connection, now: float) -> bool:
        """Whether it was opened since the last one: a server that restarts ends all at once."""
        if connection.opened_at <= self._warned_at:
            return False
        self._warned_at = now
        return True

    def _shorten(self, seconds: float, now: float) -> None:
        self.lasts = min(self.lasts, seconds)
        self._shorter_until = now + LESSON_SECONDS

    def _use_none(self, now: float) -> None:
        is_again = now < self.unused_until + self._lesson
        self._lesson = min(2 * self._lesson, _LONGEST_LESSON) if is_again else LESSON_SECONDS
        self.unused_until = now + self._lesson
        self._early = self._losses = 0


class IdleConnections:
    """A queue for each origin. A task closes what has rested too long, as long as any rests."""

    def __init__(self) -> None:
        self._rests: dict[Origin, _Rest] = {}
        self._watch: trio.CancelScope | None = None
        self._alarm = trio.CancelScope()
        self._looks_at = inf

    async def take(self, origin: Origin) -> Connection | None:
        """One that may be used at once; those on the way to it that may not are closed.

        Waits for a moment only where an origin is not proven. A cancellation that is due comes
        out of here.
        """
        rest = self._rests.get(origin)
        if rest is None or not rest.idle:
            return None
        connection = self._pop(rest)
        while connection is not None and not rest.is_proven:
            if await _stays_silent(connection):
                rest.stays()
                break
            rest.closed(connection, trio.current_time())
            connection.close()
            connection = self._pop(rest)
        return connection

    def take_at_once(self, origin: Origin) -> Connection | None:
        """The same where nothing must be waited for; None elsewhere."""
        rest = self._rests.get(origin)
        return self._pop(rest) if rest is not None and rest.is_proven else None

    def _pop(self, rest: _Rest) -> Connection | None:
        now = trio.current_time()
        while rest.idle:
            connection = rest.idle.popleft()
            rested = connection.rested = now - connection.idle_since
            if (
                connection.is_spoilt
                or rested >= rest.lasts
                or rested >= connection.lasts
                or connection.poll(0)
            ) and not self._is_fit(rest, connection, now):
                continue
            if not connection.must_rest(now):
                return connection
            rest.resting.append(connection)
        return None

    def _is_fit(self, rest: _Rest, connection: Connection, now: float) -> bool:
        """Whether it may be kept; it is closed when not."""
        if connection.is_silent():
            if not connection.is_spoilt and connection.rested < rest.longest(connection, now):
                return True
        elif connection.has_left_over():
            connection.doubt()
        else:
            rest.closed(connection, now)
        connection.close()
        return False

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose exchange is over, or close it when it is half used."""
        now = trio.current_time()
        rest = self._rests.get(origin)
        if rest is None:
            self._forget(now)
            rest = self._rests[origin] = _Rest()
        if not connection.reusable or connection.is_spoilt:
            if connection.is_lost:
                rest.lost(connection, now)
            connection.close()
            return
        if connection.exchanges == 1:
            connection.ids = rest.ids
            connection.lasts = _announced(connection.answers.headers.get("keep-alive", ""))
        if connection.lasts <= 0 or now < rest.unused_until:
            connection.close()
            return
        connection.idle_since = now
        took = perf_counter() - connection.begun_at
        if took > connection.slowest:  # noqa: PLR1730 - a call of max() for each answer costs more
            connection.slowest = took
        rest.idle.append(connection)
        if self._watch is None:
            self._watch = trio.CancelScope()
            trio.lowlevel.spawn_system_task(self._look_again_and_again, self._watch)
        elif self._looks_at > now + QUIET_SECONDS and connection.unsure:
            self._look_soon(now + connection.quiet)

    def _look_soon(self, at: float) -> None:
        if self._looks_at > at:
            self._looks_at = self._alarm.deadline = at

    async def _look_again_and_again(self, scope: trio.CancelScope) -> None:
        with scope:
            while (due := self._due()) < inf:
                self._looks_at = max(due, trio.current_time() + QUIET_SECONDS)
                with trio.CancelScope(deadline=self._looks_at) as self._alarm:
                    await trio.sleep_forever()
                await _run_on()
                self._look(trio.current_time())
            self._watch = None

    def _due(self) -> float:
        """When one will have rested for long enough, or too long."""
        now = trio.current_time()
        return min(
            (
                one.idle_since + (one.quiet if one.unsure else rest.longest(one, now))
                for rest in self._rests.values()
                for one in (*rest.idle, *rest.resting)
            ),
            default=inf,
        )

    def _look(self, now: float) -> None:
        for rest in self._rests.values():
            resting = (*rest.idle, *rest.resting)
            rest.idle.clear()
            rest.resting.clear()
            for connection in resting:
                connection.rested = now - connection.idle_since
                is_new = connection.rested < QUIET_SECONDS  # and looked at again in time
                if is_new or self._is_fit(rest, connection, now):
                    if not is_new:
                        connection.trust_silence()
                    waits = connection.must_rest(now)
                    (rest.resting if waits else rest.idle).append(connection)

    def _forget(self, now: float) -> None:
        """Origins that vary must not fill the memory."""
        for origin, rest in list(self._rests.items()):
            if not rest.knows_anything(now):
                del self._rests[origin]

    def close(self) -> None:
        """Close all; those in use close when they are given back unfit, or at the next close."""
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        for rest in self._rests.values():
            for connection in (*rest.idle, *rest.resting):
                connection.close()
            rest.idle.clear()
            rest.resting.clear()


async def _run_on() -> None:
    """Return after a moment in which this process ran: what a stop held up is there by then."""
    for _ in range(_MOMENTS):
        before = trio.current_time()
        await trio.sleep(_MOMENT)
        if trio.current_time() - before < 2 * _MOMENT:
            return


async def _stays_silent(connection: Connection) -> bool:
    """Whether nothing comes until it has rested a moment; closes it when that is cut short."""
    try:
        with trio.move_on_at(connection.idle_since + QUIET_SECONDS):
            await connection.until_heard()
            return False
        await trio.lowlevel.checkpoint_if_cancelled()
    except BaseException:
        connection.close()
        raise
    return connection.is_silent()


def _announced(keep_alive: str) -> float:
    """The seconds for which a server says that it keeps a connection, less what a way may take."""
    found = _TIMEOUT.search(keep_alive)
    if found is None:
        return inf
    seconds = float(found[1])
    return seconds - min(_MARGIN, seconds / 2)
