"""What replicas hand to each other of a dispatch, as a Protocol.

Who accepted a dispatch sees it through: it reads the audience and tells the end. Deliveries that it
has no room for itself it offers to the others. Whoever takes some is their holder, until they have
ended or the holder has died; then they are the first one's again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from carillon.messages.model import Channel, Priority, Receipt
from carillon.messages.ports.journal import Enrolment, Progress
from carillon.messages.ports.records import Pending, Unfinished


@dataclass(frozen=True, slots=True)
class Settled:
    """What became of deliveries that were offered; what stands nowhere here is still elsewhere.

    `ended` elsewhere, `taken` back to be sent here; `free` is how many nobody has taken.
    """

    ended: Sequence[Receipt]
    taken: Sequence[Pending]
    free: int


@dataclass(frozen=True, slots=True)
class Taken:
    """Deliveries of another replica's dispatch that are to be sent here."""

    dispatch: Unfinished
    deliveries: Mapping[Channel, Sequence[Pending]]


Served = Mapping[tuple[Channel, Priority, str], int]
"""How many deliveries of a channel, a lane and a caller were begun with."""


Weigh = Callable[[str], int]
"""The weight of a caller, from 1 on, by which callers take turns."""


class CallerRotation(Protocol):
    """Where callers take turns, at one replica of several."""

    def weight(self, caller: str) -> int:
        """See `Weigh`."""
        ...

    def served(self) -> Served:
        """What was begun with here, in all."""
        ...

    def charge(self, elsewhere: Served) -> None:
        """Count what other replicas have begun with since this was called last."""
        ...


class SharedQueue(Protocol):
    """Deliveries that whoever has room may take. Every method raises JournalUnavailable."""

    @property
    def has_company(self) -> bool:
        """Whether there is another replica that could take some."""
        ...

    @property
    def replicas(self) -> int:
        """How many there are, this one included."""
        ...

    async def offer(
        self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress
    ) -> Sequence[bool]:
        """Enrol deliveries as `Journal.enrol` does, for whoever takes them."""
        ...

    async def elsewhere(self, dispatch_id: str, channel: Channel) -> Sequence[str]:
        """The keys of pending deliveries of a dispatch that others hold."""
        ...

    async def settle(
        self, dispatch_id: str, channel: Channel, keys: Sequence[str], room: int
    ) -> Settled:
        """What became of these; takes back those whose holder died, and as many free as have room.

        Only for a dispatch of this replica.
        """
        ...

    async def take(self, room: Mapping[Channel, int], weigh: Weigh) -> Sequence[Taken]:
        """Take what others offer, at most so many of each channel; from now on it is held here.

        Callers take turns by weight, and then the dispatches of each. Of what is the last of a
        dispatch some is left to the other replicas.
        """
        ...
