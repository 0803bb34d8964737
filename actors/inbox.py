"""A channel's messages that wait: fair to priorities and dispatches, bounded, punctual.

Three lanes share a channel by weight, so that bulk mail does not delay a one-time code and is not
starved by it; inside a lane callers take turns by weight, and then their dispatches. A dispatch
brings more only when there is room for more of it, so a channel holds some hundred messages of each
however many there are.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from carillon.actors.lane import Lane, Signature, Source, Weigh, equal_weights
from carillon.messages.model import PRIORITIES, Priority

if TYPE_CHECKING:
    from carillon.messages.envelope import Envelope

WEIGHTS: Final[dict[Priority, int]] = {"high": 16, "normal": 4, "bulk": 1}
SHARE: Final = 250
FEWEST: Final = 5


class Inbox:
    """What waits for a worker, in order; what waits for its time; what waits for a turn.

    `capacity` is divided equally among the callers, and the part of each among its dispatches,
    before each is held to `FEWEST` at a time. `parking` bounds the messages that wait for their
    next attempt; `weigh` tells the weight of a caller.
    """

    def __init__(self, capacity: int, parking: int, weigh: Weigh = equal_weights) -> None:
        self.capacity = capacity
        self.parking = parking
        self.closed = False
        self._lanes = {name: Lane(WEIGHTS[name], weigh) for name in PRIORITIES}
        self._parked: list[tuple[float, int, Envelope]] = []
        self._aside: dict[int, Envelope] = {}
        self._order = count()
        self._deadlines: list[float] = []
        self._expected: set[float] = set()  # what stands in it, once for each dispatch
        self._queued = 0
        self._passed = 0.0  # where the lane stood that was served last

    @property
    def depth(self) -> int:
        """How many messages wait, whatever for."""
        return self._queued + len(self._parked) + len(self._aside)

    @property
    def parked(self) -> int:
        """How many messages wait for the time of their next attempt."""
        return len(self._parked)

    @property
    def next_event(self) -> float:
        """When something falls due or expires by itself, on trio's clock."""
        due = self._parked[0][0] if self._parked else inf
        return min(due, self._deadlines[0]) if self._deadlines else due

    async def wait_for_capacity(self, dispatch_id: str, until: float, caller: str = "") -> int:
        """Wait until a caller's dispatch may bring more, at most `until`; how many then."""
        await trio.lowlevel.checkpoint()
        source = self._source(dispatch_id)
        while source is not None and len(source.queue) > self._share(caller) and not self.closed:
            if source.room is None:  # else another waits: for what comes back from elsewhere
                source.room = trio.Event()
            news = source.room
            with trio.move_on_at(until):
                await news.wait()
            if trio.current_time() >= until:
                break
            source = self._source(dispatch_id)
        return self._share(caller)

    def queued(self, dispatch_id: str) -> int:
        """How many messages of a dispatch wait to be taken for the first time."""
        source = self._source(dispatch_id)
        return 0 if source is None else len(source.queue)

    def _share(self, caller: str) -> int:
        callers = dispatches = 0
        for lane in self._lanes.values():
            callers += lane.fresh_callers
            dispatches += lane.dispatches_of(caller)
        if not dispatches:  # it comes besides those that are there
            callers, dispatches = callers + 1, 1
        return max(FEWEST, min(SHARE, self.capacity // callers // dispatches))

    def _source(self, dispatch_id: str) -> Source | None:
        sources = (lane.sources.get(dispatch_id) for lane in self._lanes.values())
        return next((source for source in sources if source is not None), None)

    def put(self, envelopes: Sequence[Envelope]) -> None:
        """Queue messages of one dispatch. Raises trio.ClosedResourceError once it is closed."""
        if self.closed:
            raise trio.ClosedResourceError
        if not envelopes:
            return
        now = trio.current_time()
        for envelope in envelopes:
            envelope.posted_at = now
        first = envelopes[0]
        lane = self._enter(first.priority)
        lane.add(first.delivery.dispatch_id, envelopes)
        self._queued += len(envelopes)
        self._expect(first.expires_at)

    def give_back(self, envelope: Envelope) -> None:
        """Queue a message that was under way, before the fresh ones of its lane."""
        self._enter(envelope.priority).give_back(envelope)
        self._queued += 1
        self._expect(envelope.expires_at)

    def _enter(self, priority: Priority) -> Lane:
        """The lane; one that was empty begins beside the others and not with what it saved up."""
        lane = self._lanes[priority]
        if not lane:
            lane.passed = max(lane.passed, self._passed)
        return lane

    def _serve(self, lane: Lane) -> None:
        # A lane whose messages could not go for a while has saved nothing up either.
        self._passed = max(self._passed, lane.passed)
        lane.passed = self._passed + lane.stride
        self._queued -= 1

    def _expect(self, expires_at: float) -> None:
        if expires_at < inf and expires_at not in self._expected:
            self._expected.add(expires_at)
            heappush(self._deadlines, expires_at)

    def park(self, envelope: Envelope, seconds: float) -> bool:
        """Keep a message until it is due again; False when there is no place for it."""
        if len(self._parked) >= self.parking:
            return False
        heappush(self._parked, (trio.current_time() + seconds, next(self._order), envelope))
        return True

    def set_aside(self, envelope: Envelope) -> None:
        """Keep a message whose turn is taken, until `take_up`."""
        self._aside[id(envelope)] = envelope

    def take_up(self, envelope: Envelope) -> None:
        """Queue a message again that was set aside, if it is still there."""
        if self._aside.pop(id(envelope), None) is not None:
            self.give_back(envelope)

    def turn_over(self, now: float) -> None:
        """Queue what is due again, and answer what has expired."""
        while self._parked and self._parked[0][0] <= now:
            self.give_back(heappop(self._parked)[2])
        if not self._deadlines or self._deadlines[0] > now:
            return
        while self._deadlines and self._deadlines[0] <= now:
            self._expected.remove(heappop(self._deadlines))
        for lane in self._lanes.values():
            expired = lane.remove_expired(now)
            self._queued -= len(expired)
            for envelope in expired:
                envelope.expire()
        for key, envelope in list(self._aside.items()):
            if envelope.expires_at <= now:
                del self._aside[key]
                envelope.expire()

    def cancel(self, dispatch_id: str) -> list[Envelope]:
        """Take out everything of one dispatch, whatever it waits for."""
        found = [one for lane in self._lanes.values() for one in lane.cancel(dispatch_id)]
        self._queued -= len(found)
        for key, envelope in list(self._aside.items()):
            if envelope.delivery.dispatch_id == dispatch_id:
                found.append(self._aside.pop(key))
        parked = [one for one in self._parked if one[2].delivery.dispatch_id == dispatch_id]
        if parked:
            self._parked = [one for one in self._parked if one not in parked]
            heapify(self._parked)
        return found + [envelope for _, _, envelope in parked]

    def lanes(self) -> list[Lane]:
        """The lanes that hold something, the one whose turn it is first."""
        busy = [lane for lane in self._lanes.values() if lane.sources or lane.returned]
        if len(busy) > 1:
            busy.sort(key=lambda lane: lane.passed)
        return busy

    def take(
        self, lane: Lane, can: Callable[[Signature], bool]
    ) -> tuple[Envelope, Signature] | None:
        """The next message of a lane that is of a kind that can go; None when nothing can."""
        taken = lane.take(can)
        if taken is None:
            return None
        self._serve(lane)
        envelope, kind, source = taken
        # No share is larger than SHARE, so as a rule nothing is worked out.
        left = len(source.queue)
        if source.room is not None and left <= SHARE and left <= self._share(envelope.caller):
            source.room.set()
            source.room = None
        return envelope, kind

    def served(self) -> Iterator[tuple[Priority, str, int]]:
        """How many messages of each lane and caller have been taken since it began."""
        for name, lane in self._lanes.items():
            yield from ((name, caller, number) for caller, number in lane.served())

    def callers(self) -> Iterator[tuple[Priority, str]]:
        """Whose messages wait for a worker, and in which lanes."""
        for name, lane in self._lanes.items():
            yield from ((name, caller) for caller in lane.callers())

    def charge(self, priority: Priority, caller: str, elsewhere: int) -> None:
        """Count messages of a caller that other replicas have taken meanwhile."""
        self._lanes[priority].charge(caller, elsewhere)

    def waiting(self) -> Iterator[tuple[Signature, int, float]]:
        """What waits for what: how many messages, and when the oldest of them came."""
        for lane in self._lanes.values():
            yield from lane.waiting()

    def close(self) -> None:
        """Take no more. What is queued or parked can still be taken."""
        self.closed = True
        for lane in self._lanes.values():
            for source in lane.sources.values():
                if source.room is not None:
                    source.room.set()

    def empty(self) -> list[Envelope]:
        """Take everything out at once: what is due first, what waits for its time last."""
        left: deque[Envelope] = deque()
        for lane in self._lanes.values():
            left += lane.empty()
        left += self._aside.values()
        left += (envelope for _, _, envelope in self._parked)
        self._aside.clear()
        self._parked.clear()
        self._queued = 0
        return list(left)
