"""`carillon serve` that kills itself before or after its N-th write to the journal.

`python -m bench.services.stopped before|after N`: what a power cut, or an operator's `kill -9`,
does at that very point.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from carillon.cli.main import main
from carillon.stores.sqlite.journal.redo_log import RedoLog
from carillon.stores.sqlite.journal.tables import JournalTables

P = ParamSpec("P")
T = TypeVar("T")


class _Fuse:
    """Burns down with each write, whichever it is."""

    def __init__(self, when: str, number: int) -> None:
        self._when = when
        self._left = number

    def around(self, write: Callable[P, T]) -> Callable[P, T]:
        """The same write, but one of them is the last thing that happens."""

        @wraps(write)
        def writing(*arguments: P.args, **named: P.kwargs) -> T:
            self._left -= 1
            left = self._left
            if self._when == "before" and left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            result = write(*arguments, **named)
            if self._when == "after" and left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return writing


if __name__ == "__main__":
    fuse = _Fuse(sys.argv[1], int(sys.argv[2]))
    # The two places where something becomes durable.
    setattr(JournalTables, "commit", fuse.around(JournalTables.commit))  # noqa: B010
    setattr(RedoLog, "append", fuse.around(RedoLog.append))  # noqa: B010
    sys.argv[1:] = ["serve"]
    main()
