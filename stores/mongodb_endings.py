"""Outcomes on their way into MongoDB: inserted first, which makes them durable, then applied.

Both writers insert them: the front before any attempt starts, so that a crash leaves no more in
doubt than calls were open, and the rear when nothing starts.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from uuid import uuid4

import trio

from carillon.messages.model import Receipt
from carillon.stores.mongodb import Stored
from carillon.stores.mongodb_batch import ending_document


class Endings:
    """What was handed over, in order. `turn` is held while some of it is being inserted.

    `rounds` tells how often a dispatch was driven again, `owner` which replica this is.
    """

    def __init__(self, owner: Callable[[], str], rounds: Mapping[str, int]) -> None:
        self.turn = trio.Lock()
        self._owner = owner
        self._rounds = rounds
        self._fresh: dict[str, Stored] = {}
        self._inserted: list[Stored] = []

    def add(self, receipt: Receipt) -> None:
        """Take an outcome; of a delivery the first one of a round counts, and each that is late."""
        place = uuid4().hex if receipt.late else str(self._rounds.get(receipt.dispatch_id, 0))
        now = time.time_ns() // 1_000_000
        ending = ending_document(receipt, place, self._owner(), now)
        self._fresh.setdefault(str(ending["_id"]), ending)

    def take(self) -> list[Stored]:
        """What is to be inserted. Give it back, or tell that it was inserted; within a `turn`."""
        taken, self._fresh = list(self._fresh.values()), {}
        return taken

    def give_back(self, endings: Sequence[Stored]) -> None:
        """They may not have been inserted."""
        self._fresh = {str(one["_id"]): one for one in endings} | self._fresh

    def inserted(self, endings: Sequence[Stored], ours: Collection[object]) -> None:
        """They are durable; those that are not ours were told before."""
        self._inserted += [one for one in endings if one["_id"] in ours]

    @property
    def to_apply(self) -> Sequence[Stored]:
        """What is durable and was not applied to its delivery yet, in order."""
        return self._inserted

    def applied(self, number: int) -> None:
        """The first so many of them were."""
        del self._inserted[:number]
