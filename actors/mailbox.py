"""A channel's bounded inbox, and a worker's lease on it.

The supervisor owns both, so when a worker crashes its message and the order survive: after
`take` returned, a message is nowhere else.
"""

from __future__ import annotations

from collections import deque
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from messages.envelope import Envelope


class Inbox:
    """A bounded queue, first in first out, with a bounded place for messages that wait.

    What waits (`park`) comes back to the front when it is due, whatever the queue holds: putting
    it back at the end of one's own full queue would deadlock.
    """

    def __init__(self, capacity: int, parking: int) -> None:
        self.capacity = capacity
        self._parking = parking
        self._queue: deque[Envelope] = deque()
        self._due: deque[Envelope] = deque()
        self._parked: list[tuple[float, int, Envelope]] = []
        self._order = count()
        self._places = trio.Semaphore(capacity)
        self._items = trio.Semaphore(0)
        self._news = trio.Event()
        self._closed = False

    @property
    def depth(self) -> int:
        """How many messages are queued or parked."""
        return len(self._queue) + len(self._due) + len(self._parked)

    async def put(self, envelope: Envelope) -> None:
        """Wait while it is full. Raises trio.ClosedResourceError once it is closed."""
        if not self._closed:
            await self._places.acquire()
        if self._closed:
            raise trio.ClosedResourceError
        self._queue.append(envelope)
        self._items.release()

    async def take(self) -> Envelope:
        """The next message. Raises trio.EndOfChannel when closed, and nothing is left or parked."""
        while True:
            await self._items.acquire()
            envelope = self._pop()
            if envelope is not None:
                self._end_if_empty()
                return envelope
            if self._closed and not self.depth:
                self._items.release()  # the end is for every taker
                raise trio.EndOfChannel

    def _pop(self) -> Envelope | None:
        if self._due:
            return self._due.popleft()
        if not self._queue:
            return None
        self._places.release()
        return self._queue.popleft()

    def park(self, envelope: Envelope, seconds: float) -> bool:
        """Keep a message until it is due again; False when there is no place for it."""
        if len(self._parked) >= self._parking:
            return False
        heappush(self._parked, (trio.current_time() + seconds, next(self._order), envelope))
        self._tell()
        return True

    async def bring_back(self) -> None:
        """Hand parked messages out when they are due, for ever. The supervisor runs it."""
        while True:
            with trio.move_on_at(self._parked[0][0] if self._parked else float("inf")):
                await self._news.wait()
            while self._parked and self._parked[0][0] <= trio.current_time():
                self._due.append(heappop(self._parked)[2])
                self._items.release()

    def close(self) -> None:
        """Take no more. What is queued or parked can still be taken."""
        if self._closed:
            return
        self._closed = True
        for _ in range(self._places.statistics().tasks_waiting):
            self._places.release()
        self._end_if_empty()

    def empty(self) -> list[Envelope]:
        """Take everything out at once, parked messages too."""
        left = [*self._due, *self._queue, *(envelope for _, _, envelope in self._parked)]
        for _ in self._queue:
            self._places.release()
        self._due.clear()
        self._queue.clear()
        self._parked.clear()
        self._tell()
        self._end_if_empty()
        return left

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def _end_if_empty(self) -> None:
        if self._closed and not self.depth:
            self._items.release()


class Mailbox:
    """One worker's lease: a message stays leased until it is acknowledged."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self.leased: Envelope | None = None
        self.since = float("-inf")

    async def take(self) -> Envelope:
        """The leased message again after a crash, else the next one of the inbox."""
        if self.leased is None:
            self.leased = await self._inbox.take()
            self.since = trio.current_time()
        else:
            await trio.lowlevel.checkpoint()
        return self.leased

    def acknowledge(self) -> None:
        """The message was answered."""
        self.leased = None

    def park(self, seconds: float) -> bool:
        """Hand the leased message back until it is due; False when there is no place for it."""
        if self.leased is None or not self._inbox.park(self.leased, seconds):
            return False
        self.leased = None
        return True
