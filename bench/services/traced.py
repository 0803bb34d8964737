"""`carillon serve` that notes the calls of our functions, on its event loop and in all threads.

`python -m bench.services.traced OUTPUT [now]`: SIGUSR1 begins, or ends and writes JSON to OUTPUT,
for each call file and name of the function and whether the event loop made it. A coroutine that
goes on is no further call. With `now` it begins before the service. What a module does while it is
imported is left out.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import FrameType
from typing import Final

from carillon.app import service  # before the trace begins, which makes imports slow
from carillon.settings import load

ROOT: Final = f"{Path(__file__).parents[2]}/"
_NOT_THE_SERVICE: Final = ("bench/", "tests/", ".")

Entry = tuple[str, str, bool]
"""File and name of a function, and whether the event loop called it."""


class FirstEntries:
    """The file of each of our frames, in the order in which the frames are entered first."""

    def __init__(self, output: Path, *, on: bool) -> None:
        self._output = output
        self._on = on
        self._loop = threading.get_ident()
        self._frames: dict[FrameType, Entry] = {}  # kept: an id may be given a second time

    def __call__(self, frame: FrameType, event: str, _argument: object) -> None:
        """See `sys.setprofile`."""
        code = frame.f_code
        if not self._on or event != "call" or not code.co_filename.startswith(ROOT):
            return
        file = code.co_filename.removeprefix(ROOT)
        # Bodies of modules and of classes are entered when they are imported.
        if code.co_flags & CO_OPTIMIZED and not file.startswith(_NOT_THE_SERVICE):
            self._frames.setdefault(
                frame, (file, code.co_qualname, threading.get_ident() == self._loop)
            )

    def toggle(self, _signal: int, _frame: FrameType | None) -> None:
        """Begin, or end and write."""
        self._on = not self._on
        if not self._on:
            unfinished = self._output.with_suffix(".part")
            unfinished.write_text(json.dumps(list(self._frames.values())))
            unfinished.rename(self._output)


def main() -> None:
    """Serve as `carillon serve` does."""
    entries = FirstEntries(Path(sys.argv[1]), on="now" in sys.argv[2:])
    signal.signal(signal.SIGUSR1, entries.toggle)
    threading.setprofile(entries)
    sys.setprofile(entries)
    service.main(load())


if __name__ == "__main__":
    main()
