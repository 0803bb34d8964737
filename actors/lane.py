"""The messages of one priority, dispatch by dispatch in turn, so that a large one holds up none."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from messages.envelope import Envelope

Signature = tuple[str | None, tuple[str, ...], bool]
"""What a choice depends on: tried last at, given up, in doubt. Those with equal ones are alike."""

FRESH: Signature = (None, (), False)


def signature(envelope: Envelope) -> Signature:
    """What the choice of a provider for this message depends on."""
    return envelope.at, envelope.given_up, envelope.in_doubt


@dataclass(slots=True)
class Source:
    """What one dispatch has in a lane; `room` is set when it may bring more."""

    queue: deque[Envelope] = field(default_factory=deque)
    room: trio.Event | None = None
    expires_at: float = inf


class Lane:
    """Fresh messages by dispatch, and messages that came back by what they wait for.

    `passed` is the lane's place in the order of lanes (stride scheduling, Waldspurger 1995): it
    grows by one over the weight with each message that is taken.
    """

    def __init__(self, weight: int) -> None:
        self.stride = 1.0 / weight
        self.passed = 0.0
        self.sources: OrderedDict[str, Source] = OrderedDict()
        self.returned: dict[Signature, deque[Envelope]] = {}

    def __bool__(self) -> bool:
        return bool(self.sources or self.returned)

    def add(self, dispatch_id: str, envelopes: Sequence[Envelope]) -> None:
        """Queue messages of one dispatch, all of which expire together."""
        source = self.sources.get(dispatch_id)
        if source is None:
            source = self.sources[dispatch_id] = Source()
        source.queue.extend(envelopes)
        source.expires_at = envelopes[0].expires_at

    def give_back(self, envelope: Envelope) -> None:
        """Queue a message that was under way, before all fresh ones."""
        self.returned.setdefault(signature(envelope), deque()).append(envelope)

    def take_fresh(self) -> tuple[Envelope, Source]:
        """The next fresh message: of the dispatch whose turn it is, which then goes last."""
        dispatch_id, source = next(iter(self.sources.items()))
        envelope = source.queue.popleft()
        if source.queue:
            self.sources.move_to_end(dispatch_id)
        else:
            del self.sources[dispatch_id]
        return envelope, source

    def take_returned(self, kind: Signature) -> Envelope:
        """The next of the messages that came back alike."""
        queue = self.returned[kind]
        envelope = queue.popleft()
        if not queue:
            del self.returned[kind]
        return envelope

    def remove_expired(self, now: float) -> list[Envelope]:
        """Take out what must not be sent any more."""
        expired: list[Envelope] = []
        for dispatch_id, source in list(self.sources.items()):
            if source.expires_at <= now:
                expired += source.queue
                del self.sources[dispatch_id]
                if source.room is not None:
                    source.room.set()
        for kind, queue in list(self.returned.items()):
            expired += (one for one in queue if one.expires_at <= now)
            left = deque(one for one in queue if one.expires_at > now)
            if left:
                self.returned[kind] = left
            else:
                del self.returned[kind]
        return expired

    def withdraw(self, dispatch_id: str) -> list[Envelope]:
        """Take out everything of one dispatch."""
        found: list[Envelope] = []
        if (source := self.sources.pop(dispatch_id, None)) is not None:
            found += source.queue
            if source.room is not None:
                source.room.set()
        for kind, queue in list(self.returned.items()):
            left = deque(one for one in queue if one.delivery.dispatch_id != dispatch_id)
            found += (one for one in queue if one.delivery.dispatch_id == dispatch_id)
            if left:
                self.returned[kind] = left
            else:
                del self.returned[kind]
        return found

    def waiting(self) -> Iterator[tuple[Signature, int, float]]:
        """What waits for what: how many messages, and when the oldest of them came."""
        fresh = [source.queue for source in self.sources.values()]
        if fresh:
            yield FRESH, sum(map(len, fresh)), min(queue[0].posted_at for queue in fresh)
        for kind, queue in self.returned.items():
            yield kind, len(queue), min(one.posted_at for one in queue)
