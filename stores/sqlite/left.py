"""What of an embedded store has not ended: so much goes on when an operator lets it."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_RUNNING: Final = """
SELECT p.id, p.channels, p.state, p.created_at, coalesce(d.pending, 0), coalesce(d.ended, 0),
    coalesce(d.open, 0)
FROM dispatch AS p LEFT JOIN (
    SELECT dispatch, sum(outcome = 'pending') AS pending, sum(outcome <> 'pending') AS ended,
        sum(outcome = 'pending' AND EXISTS (
            SELECT 1 FROM attempt AS a WHERE a.dispatch = delivery.dispatch
            AND a.channel = delivery.channel AND a.key = delivery.key AND a.result IS NULL
            AND a.number > delivery.tries_from)) AS open
    FROM delivery WHERE dispatch IN (SELECT number FROM dispatch WHERE ended_at IS NULL)
    GROUP BY dispatch
) AS d ON d.dispatch = p.number
WHERE p.ended_at IS NULL ORDER BY p.number
"""


@dataclass(frozen=True, slots=True)
class Running:
    """A dispatch that has not ended: how many of its deliveries are pending, or have ended.

    `open` is how many of the pending ones had a call that was not answered. `created_at` is in
    milliseconds since 1970.
    """

    id: str
    channels: Sequence[str]
    state: str
    created_at: int
    pending: int
    ended: int
    open: int


@dataclass(frozen=True, slots=True)
class Left:
    """All that goes on when a store does: dispatches, and events of sagas not yet accepted.

    `lost` deliveries were enrolled in what a damaged log has lost, whatever became of them.
    """

    dispatches: Sequence[Running]
    events: int
    lost: int = 0

    @property
    def pending(self) -> int:
        """Deliveries without an outcome that is known."""
        return sum(one.pending for one in self.dispatches) + self.lost

    @property
    def open(self) -> int:
        """Those of them that had a call without an answer."""
        return sum(one.open for one in self.dispatches)


def what_is_left(connection: sqlite3.Connection) -> Left:
    """What has not ended. Raises sqlite3.Error."""
    dispatches = [
        Running(identity, channels.split(","), *rest)
        for identity, channels, *rest in connection.execute(_RUNNING)
    ]
    query = "SELECT count(*) FROM event WHERE state = 'pending'"
    (events,) = connection.execute(query).fetchone()
    return Left(dispatches, int(events))


def what_is_wrong(connection: sqlite3.Connection) -> Sequence[str]:
    """What is damaged in the tables, a line each; nothing when they are whole.

    Raises sqlite3.Error.
    """
    found = [str(line) for (line,) in connection.execute("PRAGMA integrity_check(20)")]
    return [] if found == ["ok"] else found
