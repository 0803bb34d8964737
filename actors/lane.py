"""The messages of one priority: callers in turn by weight, and the dispatches of each in turn.

So neither a large dispatch nor the many dispatches of one caller hold up those of others.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from carillon.messages.envelope import Envelope

Signature = tuple[str | None, tuple[str, ...], bool]
"""What a choice depends on: tried last at, given up, in doubt. Those with equal ones are alike."""

FRESH: Signature = (None, (), False)

Weigh = Callable[[str], int]
"""The weight of a caller, from 1 on."""


def signature(envelope: Envelope) -> Signature:
    """What the choice of a provider for this message depends on."""
    return envelope.at, envelope.given_up, envelope.in_doubt


def equal_weights(_: str) -> int:
    """Every caller counts the same."""
    return 1


@dataclass(slots=True)
class Source:
    """What one dispatch has in a lane; `room` is set when it may bring more."""

    queue: deque[Envelope] = field(default_factory=deque)
    room: trio.Event | None = None
    expires_at: float = inf


@dataclass(eq=False, slots=True)
class CallerQueue:
    """What one caller has in a lane: fresh messages by dispatch, and what came back by kind.

    `passed` is its place in the order of callers, `served` how many of its messages were taken; it
    `is_in_line` while an entry there says so.
    """

    stride: float = 1.0
    passed: float = 0.0
    served: int = 0
    is_in_line: bool = False
    sources: OrderedDict[str, Source] = field(default_factory=OrderedDict)
    returned: dict[Signature, deque[Envelope]] = field(default_factory=dict)

    def first_able(self, can: Callable[[Signature], bool]) -> tuple[Signature, bool] | None:
        """What of it goes next: the kind, and whether that came back; None when nothing can."""
        if self.returned:
            for kind in self.returned:
                if can(kind):
                    return kind, True
        return (FRESH, False) if self.sources and can(FRESH) else None


class Lane:
    """A lane's callers, each with its dispatches and with what came back.

    The order of callers is stride scheduling (Waldspurger 1995), as is that of lanes: `passed`
    grows by one over the weight with each message that is taken, and the one that has passed least
    is next. Who was away for a while begins beside the others and not with what was saved up. A
    step costs the logarithm of the number of callers.
    """

    def __init__(self, weight: int, weigh: Weigh = equal_weights) -> None:
        self.stride = 1.0 / weight
        self.passed = 0.0
        self.sources: dict[str, Source] = {}
        self.returned: dict[Signature, int] = {}
        self.fresh_callers = 0
        """How many callers have fresh messages here."""
        self._weigh = weigh
        self._callers: dict[str, CallerQueue] = {}
        self._line: list[tuple[float, int, CallerQueue]] = []
        self._numbers = count()
        self._served = 0.0  # where the caller stood that was served last

    def __bool__(self) -> bool:
        return bool(self.sources or self.returned)

    def dispatches_of(self, caller: str) -> int:
        """How many dispatches of a caller have fresh messages here."""
        queue = self._callers.get(caller)
        return 0 if queue is None else len(queue.sources)

    def add(self, dispatch_id: str, envelopes: Sequence[Envelope]) -> None:
        """Queue messages of one dispatch, all of which expire together."""
        source = self.sources.get(dispatch_id)
        name = envelopes[0].caller
        caller = self._caller(name)
        # A weight may have changed, and who has always something queued is never seen to come.
        caller.stride = 1.0 / self._weigh(name)
        if source is None:
            self.fresh_callers += not caller.sources
            source = self.sources[dispatch_id] = caller.sources[dispatch_id] = Source()
        source.queue.extend(envelopes)
        source.expires_at = envelopes[0].expires_at
        self._line_up(caller)

    def give_back(self, envelope: Envelope) -> None:
        """Queue a message that was under way, before all fresh ones of its caller."""
        kind, caller = signature(envelope), self._caller(envelope.caller)
        caller.returned.setdefault(kind, deque()).append(envelope)
        self.returned[kind] = self.returned.get(kind, 0) + 1
        self._line_up(caller)

    def take(self, can: Callable[[Signature], bool]) -> tuple[Envelope, Signature, Source] | None:
        """The next message of a kind that can go, of the caller whose turn it is among those.

        Its kind and, for one that is fresh, its source come along. None when nothing can go.
        """
        found = self._next(can)
        if found is None:
            return None
        caller, kind, has_returned = found
        self._served = passed = max(self._served, caller.passed)
        caller.passed = passed + caller.stride
        caller.served += 1
        if has_returned:
            envelope, source = self._take_returned(caller, kind), _NONE
        else:
            envelope, source = self._take_fresh(caller)
        if not caller.is_in_line:
            self._line_up(caller)
        return envelope, kind, source

    def served(self) -> Iterator[tuple[str, int]]:
        """How many messages of each caller have been taken, since the lane began."""
        return ((name, caller.served) for name, caller in self._callers.items())

    def callers(self) -> Iterator[str]:
        """Those who have something here."""
        for name, caller in self._callers.items():
            if caller.sources or caller.returned:
                yield name

    def charge(self, name: str, elsewhere: int) -> None:
        """Count messages of a caller that other replicas have taken since it was charged last.

        So a caller with work at several replicas gets no more of all of them together than one
        with work at a single one. What was had long ago is not held against anybody: a caller
        falls behind the others by what two charges come to at most.
        """
        caller = self._callers.get(name)
        if caller is None:
            return
        cost = elsewhere * caller.stride
        begun = max(caller.passed, self._served)
        passed = max(begun, min(begun + cost, self._served + 2 * cost))
        if caller.is_in_line:
            self._line = [one for one in self._line if one[2] is not caller]
            heapify(self._line)
            caller.is_in_line = False
        caller.passed = passed
        self._line_up(caller)

    def _next(self, can: Callable[[Signature], bool]) -> tuple[CallerQueue, Signature, bool] | None:
        """Take the first one out of the line that has something that can go."""
        line = self._line
        if len(line) == 1:  # whoever is alone stays there; see `_line_up`
            caller = line[0][2]
            if caller.sources and not caller.returned:  # as a rule
                return (caller, FRESH, False) if can(FRESH) else None
            able = caller.first_able(can)
            if able is not None:
                return caller, *able
            if not (caller.sources or caller.returned):
                line.clear()
                caller.is_in_line = False
            return None
        aside = list[tuple[float, int, CallerQueue]]()
        found: tuple[CallerQueue, Signature, bool] | None = None
        while line and found is None:
            caller = line[0][2]
            able = caller.first_able(can)
            if able is not None:
                heappop(line)
                caller.is_in_line = False
                found = caller, *able
            elif not (caller.sources or caller.returned):  # all of it was taken out
                heappop(line)
                caller.is_in_line = False
            elif self._can_any(can):
                aside.append(heappop(line))
            else:
                break
        for one in aside:
            heappush(line, one)
        return found

    def _can_any(self, can: Callable[[Signature], bool]) -> bool:
        return (bool(self.sources) and can(FRESH)) or any(map(can, self.returned))

    def _take_fresh(self, caller: CallerQueue) -> tuple[Envelope, Source]:
        """The next one: of the dispatch whose turn it is, which then goes last."""
        dispatch_id, source = next(iter(caller.sources.items()))
        envelope = source.queue.popleft()
        if source.queue:
            caller.sources.move_to_end(dispatch_id)
        else:
            self._remove(caller, dispatch_id)
        return envelope, source

    def _take_returned(self, caller: CallerQueue, kind: Signature) -> Envelope:
        queue = caller.returned[kind]
        envelope = queue.popleft()
        if not queue:
            del caller.returned[kind]
        self._forget(kind, 1)
        return envelope

    def _caller(self, name: str) -> CallerQueue:
        caller = self._callers.get(name)
        if caller is None:
            caller = self._callers[name] = CallerQueue(1.0 / self._weigh(name))
        return caller

    def _line_up(self, caller: CallerQueue) -> None:
        if not caller.is_in_line and (caller.sources or caller.returned):
            line = self._line
            if len(line) == 1:  # it has been served since, without leaving its place
                alone = line[0][2]
                line[0] = alone.passed, next(self._numbers), alone
            caller.passed = max(caller.passed, self._served)
            caller.is_in_line = True
            heappush(line, (caller.passed, next(self._numbers), caller))

    def _remove(self, caller: CallerQueue, dispatch_id: str) -> Source:
        source = caller.sources.pop(dispatch_id)
        del self.sources[dispatch_id]
        self.fresh_callers -= not caller.sources
        return source

    def _forget(self, kind: Signature, number: int) -> None:
        self.returned[kind] -= number
        if not self.returned[kind]:
            del self.returned[kind]

    def _take_out_returned(
        self, caller: CallerQueue, goes: Callable[[Envelope], bool]
    ) -> list[Envelope]:
        found: list[Envelope] = []
        for kind, queue in list(caller.returned.items()):
            gone = [one for one in queue if goes(one)]
            if not gone:
                continue
            found += gone
            self._forget(kind, len(gone))
            left = deque(one for one in queue if not goes(one))
            if left:
                caller.returned[kind] = left
            else:
                del caller.returned[kind]
        return found

    def remove_expired(self, now: float) -> list[Envelope]:
        """Take out what must not be sent any more."""
        expired: list[Envelope] = []
        for caller in self._callers.values():
            for dispatch_id, source in list(caller.sources.items()):
                if source.expires_at <= now:
                    expired += self._take_out(caller, dispatch_id)
        for caller in self._callers.values():
            expired += self._take_out_returned(caller, lambda one: one.expires_at <= now)
        return expired

    def cancel(self, dispatch_id: str) -> list[Envelope]:
        """Take out everything of one dispatch."""
        found: list[Envelope] = []
        for caller in self._callers.values():
            if dispatch_id in caller.sources:
                found += self._take_out(caller, dispatch_id)
            found += self._take_out_returned(
                caller, lambda one: one.delivery.dispatch_id == dispatch_id
            )
        return found

    def _take_out(self, caller: CallerQueue, dispatch_id: str) -> deque[Envelope]:
        source = self._remove(caller, dispatch_id)
        if source.room is not None:
            source.room.set()
        return source.queue

    def empty(self) -> list[Envelope]:
        """Take everything out: what came back first."""
        callers = self._callers.values()
        returned = [
            one for caller in callers for queue in caller.returned.values() for one in queue
        ]
        fresh = [one for source in self.sources.values() for one in source.queue]
        self._callers.clear()
        self._line.clear()
        self.sources.clear()
        self.returned.clear()
        self.fresh_callers = 0
        return returned + fresh

    def waiting(self) -> Iterator[tuple[Signature, int, float]]:
        """What waits for what: how many messages, and when the oldest of them came."""
        fresh = [source.queue for source in self.sources.values()]
        if fresh:
            yield FRESH, sum(map(len, fresh)), min(queue[0].posted_at for queue in fresh)
        for kind, number in self.returned.items():
            queues = (caller.returned.get(kind, ()) for caller in self._callers.values())
            yield kind, number, min(one.posted_at for queue in queues for one in queue)


_NONE = Source()
"""What a message has no part in any more that came back."""
