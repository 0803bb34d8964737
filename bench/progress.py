"""How the bench tells what it is at, on the standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable

Say = Callable[[str], None]


def say(text: str) -> None:
    """One line, at once."""
    print(text, file=sys.stderr, flush=True)
