"""Which deliveries are new, told from the order of their keys: no table is asked.

An audience is read in the order of its keys, mostly. So a key above the highest that was enrolled
on its channel is new; whatever else comes, the tables decide. The mark of a channel is known from
its dispatch's beginning here, and of one that an earlier process began once the tables were asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from operator import lt


class HighWater:
    """The highest key that was enrolled on one channel of a dispatch, if it is known.

    Keys compare by their characters, as they do in the tables.
    """

    __slots__ = ("_asking", "_highest")

    def __init__(self, highest: str | None = None) -> None:
        self._highest = highest
        self._asking = 0

    def rise(self, keys: Sequence[str]) -> bool:
        """Whether all of these are new; then they count as enrolled."""
        highest = self._highest
        if not keys:
            return highest is not None
        if highest is None or not (keys[0] > highest and all(map(lt, keys, islice(keys, 1, None)))):
            return False
        try:
            "".join(keys).encode()
        except UnicodeEncodeError:  # half a character is replaced in the tables: two may be one
            return False
        self._highest = keys[-1]
        return True

    def forget(self) -> None:
        """What counted as enrolled may not be: the tables must be asked."""
        self._highest = None

    def ask(self) -> None:
        """The tables are asked: until each of those who do so has an answer nothing is known."""
        self._highest = None
        self._asking += 1

    def answered(self, highest: str | None) -> None:
        """The highest key in the tables; None if they gave no answer."""
        self._asking -= 1
        if not self._asking:
            self._highest = highest
