"""A stream of commands: taken in order for each saga, committed once they are decided.

A command is decided when its dispatch, or the event that refuses it, is durable: the rest follows
from the journal. A command that cannot be decided now (too many dispatches are open, the directory
is down) is retried, and nothing more is fetched meanwhile; it is never dropped and never refused.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio

from carillon.kafka.ports import Part, Record, Source
from carillon.messages.errors import TryLater
from carillon.messages.events import CommandResult, Observer, SagaCommandRead, StreamMoved
from carillon.messages.offload import SMALL, Offload
from carillon.messages.retry import jittered
from carillon.sagas.kafka_records import RecordReader, StreamCommand
from carillon.sagas.service import Work

IN_HAND: Final = 64
"""How many commands are being decided at once."""
MOST_BYTES: Final = 16_777_216
"""Bytes of the commands being decided above which nothing more is fetched."""
TURN: Final = 0.1
"""Seconds between two looks at the source when there is nothing to read."""
GRACE: Final = 10.0
"""Seconds for commands whose decision has begun when their partition must be given up."""
FIRST_DELAY: Final = 0.2
MAX_DELAY: Final = 5.0

Take = Callable[[StreamCommand, int | None], Awaitable[Work]]
"""Decides a command that was written at a time. If it raises TryLater, nothing has begun."""


@dataclass(eq=False, slots=True)
class _Hand:
    """A record being decided; while it `is_begun` it should be left to end by itself."""

    record: Record
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)
    is_begun: bool = False
    is_decided: bool = False


@dataclass(eq=False, slots=True)
class _Reading:
    """How far a partition was read, and its records being decided, in order."""

    next: int
    hands: dict[int, _Hand] = field(default_factory=dict)
    told: int = -1

    @property
    def committable(self) -> int:
        """The first offset that is not decided: everything before it is."""
        return next(iter(self.hands), self.next)

    def settle(self) -> None:
        """Forget the decided records that have nothing undecided before them."""
        for offset in list(self.hands):
            if not self.hands[offset].is_decided:
                return
            del self.hands[offset]


class CommandStream:
    """Takes the commands of a source while `run` runs; implements `kafka.ports.Holder`."""

    def __init__(
        self,
        reader: RecordReader,
        observe: Observer,
        in_hand: int = IN_HAND,
        grace: float = GRACE,
        offload: Offload | None = None,
    ) -> None:
        self._offload = offload or Offload()
        self._reader = reader
        self._observe = observe
        self._most = in_hand
        self._grace = grace
        self._readings: dict[Part, _Reading] = {}
        self._ours: set[Part] = set()
        self._last: dict[tuple[Part, str], trio.Event] = {}
        self._open = 0
        self._bytes = 0
        self._waiting = 0
        self._room = trio.Event()
        self.has_joined = False
        self.trouble: str | None = None

    async def run(self, source: Source, take: Take, stop: trio.Event) -> None:
        """Read until `stop` is set, then end what has begun, commit it, and leave the group."""
        try:
            async with trio.open_nursery() as nursery:
                while not stop.is_set():
                    await self._turn(source, take, nursery)
                await source.commit(await self.revoked(list(self._readings)))
        finally:
            with trio.CancelScope(shield=True):  # a member that just vanishes delays the group
                await source.close()

    def granted(self, parts: Collection[Part]) -> None:
        """See the port."""
        self._ours.update(parts)
        self.has_joined = True
        self.trouble = None
        self._observe(StreamMoved("joined", str(len(self._ours))))

    async def revoked(self, parts: Collection[Part]) -> Mapping[Part, int]:
        """See the port."""
        await self._give_up(parts, self._grace)
        # Popped only now: what `_give_up` waits for still moves the offsets that are returned.
        kept = {part: self._readings.pop(part) for part in parts if part in self._readings}
        self._ours.difference_update(parts)
        return {part: reading.committable for part, reading in kept.items()}

    async def lost(self, parts: Collection[Part]) -> None:
        """See the port."""
        await self._give_up(parts, 0.0)
        for part in parts:
            self._readings.pop(part, None)
        self._ours.difference_update(parts)
        self._observe(StreamMoved("lost", str(len(parts))))

    def troubled(self, error: str) -> None:
        """See the port."""
        if error != self.trouble:  # a lasting error is reported once
            self._observe(StreamMoved("troubled", error))
        self.trouble = error

    @property
    def _is_full(self) -> bool:
        return self._open >= self._most or self._waiting > 0 or self._bytes > MOST_BYTES

    async def _turn(self, source: Source, take: Take, nursery: trio.Nursery) -> None:
        if self._is_full:
            self._room = trio.Event()
            with trio.move_on_after(TURN):
                await self._room.wait()
        is_full = self._is_full
        await source.hold(is_full)
        room = 0 if is_full else self._most - self._open
        for record in await source.poll(room, 0.0 if is_full else TURN):
            self.trouble = None
            await self._receive(record, take, nursery)
        await self._commit(source)

    async def _commit(self, source: Source) -> None:
        due: dict[Part, int] = {}
        for part, reading in self._readings.items():
            reading.settle()
            if reading.committable != reading.told:
                due[part] = reading.told = reading.committable
        await source.commit(due)

    async def _receive(self, record: Record, take: Take, nursery: trio.Nursery) -> None:
        reading = self._readings.get(record.part)
        if reading is None:
            # Everything before it was decided earlier, or was never for this group.
            reading = self._readings[record.part] = _Reading(record.offset, told=record.offset)
        if record.offset in reading.hands:
            return
        is_long = len(record.value or b"") > SMALL
        found = await self._offload.run_if(is_long, partial(self._reader.read, record))
        # In one step with the entry in `hands`: in between, `committable` would skip the record.
        reading.next = record.offset + 1
        hand = reading.hands[record.offset] = _Hand(record)
        if isinstance(found, StreamCommand):
            self._open += 1
            self._bytes += len(record.value or b"")
            before = self._last.get((record.part, found.key))
            self._last[record.part, found.key] = hand.ended
            nursery.start_soon(self._see_to, hand, found, before, take)
        else:
            hand.is_decided = True
            hand.ended.set()
            self._observe(SagaCommandRead(record.place, "skipped", found))

    async def _see_to(
        self, hand: _Hand, command: StreamCommand, before: trio.Event | None, take: Take
    ) -> None:
        try:
            with hand.scope:
                if before is not None:  # commands of one saga are decided in order
                    await before.wait()
                await self._decide(hand, command, take)
        finally:
            self._open -= 1
            self._bytes -= len(hand.record.value or b"")
            self._room.set()
            hand.ended.set()
            lane = (hand.record.part, command.key)
            if self._last.get(lane) is hand.ended:
                del self._last[lane]

    async def _decide(self, hand: _Hand, command: StreamCommand, take: Take) -> None:
        attempt = 0
        while not hand.is_decided:
            try:
                # Cancelled by `_give_up` while it waited: it must not begin any more.
                await trio.lowlevel.checkpoint_if_cancelled()
                hand.is_begun = True
                work = await take(command, hand.record.at)
            except TryLater as error:
                attempt += 1
                self.troubled(str(error))
                await self._rest(attempt)
            else:
                hand.is_decided = True
                self._observe(SagaCommandRead(hand.record.place, _result(work)))
            finally:
                hand.is_begun = False

    async def _rest(self, attempt: int) -> None:
        self._waiting += 1
        try:
            await trio.sleep(jittered(attempt, FIRST_DELAY, MAX_DELAY))
        finally:
            self._waiting -= 1

    async def _give_up(self, parts: Collection[Part], grace: float) -> None:
        """Begin nothing new in these partitions; what has begun may end within `grace` seconds.

        A committed offset says that everything before it is decided. So what comes before a record
        that has begun must be decided too, or the next reader of the partition would do it again.
        """
        hands: list[_Hand] = []
        for reading in (self._readings[part] for part in parts if part in self._readings):
            for hand in reversed(reading.hands.values()):
                if hand.is_begun or hand.is_decided:
                    break
                hand.scope.cancel()
            hands.extend(reading.hands.values())
        with trio.move_on_after(grace):
            for hand in hands:
                await hand.ended.wait()
        for hand in hands:
            hand.scope.cancel()
        with trio.CancelScope(shield=True):  # a dispatch is durable as a whole or not at all
            for hand in hands:
                await hand.ended.wait()
        for part in parts:
            if part in self._readings:
                self._readings[part].settle()


def _result(work: Work) -> CommandResult:
    if work.error is not None:
        return "refused"
    return "repeated" if work.is_repeat else "accepted"
