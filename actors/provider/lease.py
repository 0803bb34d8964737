"""Until when a replica may use its share of a provider: asked directly before bytes leave."""

from __future__ import annotations

from math import inf

import trio


class ShareEnded(Exception):
    """The share that a call was promised on has ended: it must not be made."""


class Lease:
    """Calls may start until it `ends`, on trio's clock.

    It is extended while it lasts. Once it has ended it stays so, and another one follows: meanwhile
    others may have been given what it allowed, so a call that was promised on it never starts.
    """

    __slots__ = ("ends",)

    def __init__(self, ends: float = -inf) -> None:
        self.ends = ends

    @property
    def lasts(self) -> bool:
        """Whether a call may start now."""
        return trio.current_time() < self.ends

    def check(self) -> None:
        """Raises ShareEnded."""
        if trio.current_time() >= self.ends:
            raise ShareEnded
