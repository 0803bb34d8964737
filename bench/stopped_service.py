"""`carillon serve` that kills itself before or after its N-th commit of the journal.

`python -m bench.stopped_service before|after N`: what a power cut, or an operator's `kill -9`,
does at that very point.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from cli.main import main
from messages.journal import AttemptEnd
from messages.model import Receipt
from stores import sqlite_journal
from stores.sqlite_ledger import Ledger, Write


def _stopping(when: str, number: int) -> type[Ledger]:
    class StoppingLedger(Ledger):
        left = number

        def commit(self, ends: Sequence[Receipt | AttemptEnd], writes: Sequence[Write]) -> None:
            self.left -= 1
            if when == "before" and not self.left:
                os.kill(os.getpid(), signal.SIGKILL)
            super().commit(ends, writes)
            if when == "after" and not self.left:
                os.kill(os.getpid(), signal.SIGKILL)

    return StoppingLedger


if __name__ == "__main__":
    when, number = sys.argv[1], int(sys.argv[2])
    setattr(sqlite_journal, "Ledger", _stopping(when, number))  # noqa: B010 - the one place to stop it at
    sys.argv[1:] = ["serve"]
    main()
