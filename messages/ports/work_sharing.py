"""How replicas share the deliveries of a dispatch, as a Protocol.

The replica that accepted a dispatch owns it: it reads the audience and reports the end. It offers
deliveries that it has no room for to the others. A replica that takes some holds them until they
have ended; if it dies first, they go back to the owner.
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
    """What became of offered deliveries; those not listed here are still elsewhere.

    They `ended` elsewhere or were `taken` back to be sent here; `free` counts those not yet taken.
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
"""How many deliveries were started, by channel, lane and caller."""


Weigh = Callable[[str], int]
"""The weight of a caller, from 1 on, by which callers take turns."""


class CallerRotation(Protocol):
    """Where callers take turns, at one replica of several."""

    def weight(self, caller: str) -> int:
        """See `Weigh`."""
        ...

    def served(self) -> Served:
        """What was started here, in total."""
        ...

    def callers_waiting(self, provider: str) -> Mapping[Priority, Mapping[str, int]]:
        """Whose messages wait here for a provider: the weight of each caller by its lane."""
        ...

    def charge(self, elsewhere: Served) -> None:
        """Count what other replicas have started since the last call."""
        ...


class SharedQueue(Protocol):
    """Deliveries that any replica with room may take. Every method raises JournalUnavailable."""

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
        """Enrol deliveries as `Journal.enrol` does, for any replica to take."""
        ...

    async def elsewhere(self, dispatch_id: str, channel: Channel) -> Sequence[str]:
        """The keys of pending deliveries of a dispatch that others hold."""
        ...

    async def settle(
        self, dispatch_id: str, channel: Channel, keys: Sequence[str], room: int
    ) -> Settled:
        """What became of these; takes back those whose holder died, and up to `room` free ones.

        Only for a dispatch that this replica owns.
        """
        ...

    async def take(self, room: Mapping[Channel, int], weigh: Weigh) -> Sequence[Taken]:
        """Take what others offer, up to the room of each channel; it is held here from now on.

        Callers take turns by weight, and then the dispatches of each. Some of the last deliveries
        of a dispatch are left to the other replicas.
        """
        ...
