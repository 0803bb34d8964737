"""Names as error messages show them: cut short, and with the names that were perhaps meant."""

from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 48


def short(name: str) -> str:
    """Cut a name that is too long for a sentence."""
    name = name.split("\n", 1)[0]
    return name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…"


def nearest(name: str, names: Iterable[str]) -> str:
    """Say which of `names` are near to `name`: `; did you mean …?`, or nothing."""
    # Comparing takes time that grows with the square of the length, so long names go without.
    close = get_close_matches(name, names, n=3, cutoff=0.6) if len(name) <= _LONGEST else []
    return f"; did you mean {' or '.join(f'`{match}`' for match in close)}?" if close else ""
