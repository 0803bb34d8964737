"""Deliveries that are enrolled in the commit that is being made: what has ended is written once.

Most deliveries end within a moment of their enrolment. Such a one is a single row, which is final,
in place of one that is written as pending and then changed, with an attempt beside it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from carillon.messages.model import Channel
from carillon.stores.sqlite.journal.batch import Outcomes
from carillon.stores.sqlite.journal.sql import Ending, enrol, write_final


@dataclass(frozen=True, slots=True)
class _Slice:
    """Deliveries that were enrolled together, and have not ended: the user of each key."""

    at: int
    users: dict[str, str]


class FreshDeliveries:
    """Takes what was enrolled and then how it ended; `write` writes both."""

    def __init__(self) -> None:
        self._slices: dict[tuple[int, Channel], list[_Slice]] = {}
        self._final: dict[Ending, list[tuple[str, str, str]]] = {}

    def enrol(
        self, number: int, channel: Channel, at: int, users: Iterable[tuple[str, str]]
    ) -> None:
        """Take deliveries of a dispatch with this number: their keys and users."""
        one = _Slice(at, dict(users))
        self._slices.setdefault((number, channel), []).append(one)

    def end(self, number: int, outcomes: Outcomes, at: int) -> Outcomes | None:
        """Take outcomes; gives those of deliveries that are not fresh."""
        slices = self._slices.get((number, outcomes.channel))
        if not slices:
            return outcomes
        keys = set(outcomes.keys)
        for one in slices:
            if one.users.keys() >= keys and 2 * len(keys) == len(outcomes.texts):
                final, users = self._finals(number, outcomes, one.at, at), one.users
                for key, message_id in outcomes.pairs():
                    final.append((key, users.pop(key), message_id))
                return None
        return self._end_each(number, outcomes, at, slices)

    def _end_each(
        self, number: int, outcomes: Outcomes, at: int, slices: Sequence[_Slice]
    ) -> Outcomes | None:
        """The same for deliveries that were enrolled at several times, or earlier, or end twice."""
        rest: list[str] = []
        for key, message_id in outcomes.pairs():
            found = next((one for one in slices if key in one.users), None)
            if found is None:
                rest += (key, message_id)
            else:
                final = self._finals(number, outcomes, found.at, at)
                final.append((key, found.users.pop(key), message_id))
        return outcomes.of(rest) if rest else None

    def _finals(
        self, number: int, outcomes: Outcomes, created_at: int, at: int
    ) -> list[tuple[str, str, str]]:
        ending: Ending = (
            number,
            outcomes.channel,
            created_at,
            at,
            outcomes.outcome,
            outcomes.reason,
            outcomes.provider or "",
            outcomes.attempts,
            outcomes.error,
        )
        return self._final.setdefault(ending, [])

    def write(self, connection: sqlite3.Connection) -> None:
        """Write what has ended as final rows, and the others as pending ones."""
        for ending, rows in self._final.items():
            write_final(connection, ending, rows)
        for (number, channel), slices in self._slices.items():
            for one in slices:
                if one.users:
                    enrol(connection, number, channel, list(one.users.items()), one.at)
