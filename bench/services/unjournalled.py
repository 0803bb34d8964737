"""`carillon serve` that writes nothing of its dispatches: what the journal costs is the difference.

Only for one process that is never stopped: it forgets everything.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

import trio

from carillon.app import service
from carillon.cli.main import main
from carillon.messages.model import Outcome, Receipt
from carillon.messages.ports.journal import (
    AttemptEnd,
    AttemptStart,
    DispatchEnd,
    Enrolment,
    NewDispatch,
    Progress,
    StartsTold,
)
from carillon.stores.sqlite.journal.journal import SqliteJournal


class Forgetful(SqliteJournal):
    """Says that everything is durable; the audience must hold no repeats."""

    async def open(self, dispatch: NewDispatch, rows: Sequence[Enrolment] = ()) -> Sequence[bool]:
        """See the port."""
        await trio.lowlevel.checkpoint()
        return [True] * len(rows)

    async def enrol(
        self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress
    ) -> Sequence[bool]:
        """See the port."""
        await trio.lowlevel.checkpoint()
        return [True] * len(rows)

    def start_all(self, attempts: Sequence[AttemptStart], told: StartsTold) -> None:
        """See the port."""
        told({})

    def end(self, attempt: AttemptEnd) -> None:
        """See the port."""

    def record(self, receipt: Receipt) -> None:
        """See the port."""

    async def close(
        self,
        dispatch_id: str,
        counts: Mapping[Outcome, int],
        kept: str | bytes | None,
        end: DispatchEnd | None = None,
    ) -> None:
        """See the port."""
        await trio.lowlevel.checkpoint()


if __name__ == "__main__":
    setattr(service, "SqliteJournal", Forgetful)  # noqa: B010 - the one place to leave it out at
    sys.argv[1:] = ["serve"]
    main()
