"""What a caller prefers of its answer: `Prefer: wait=N` and `respond-async` (RFC 7240)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Preferences:
    """`wait` is in seconds, infinity where the caller does not say."""

    wait: float = math.inf
    respond_async: bool = False

    @property
    def patience(self) -> float:
        """How long the caller wants to wait, in seconds."""
        return 0.0 if self.respond_async and math.isinf(self.wait) else self.wait

    def applied(self, longest: float) -> str:
        """The value of `Preference-Applied` where the longest wait is this, in seconds."""
        parts = ["respond-async"] if self.respond_async else []
        parts += [f"wait={self.wait:.0f}"] if self.wait < longest else []
        return ", ".join(parts)


def preferences(headers: Sequence[str]) -> Preferences:
    """The preferences in the headers of that name; unknown ones are ignored."""
    wait, respond_async = math.inf, False
    for preference in ",".join(headers).split(","):
        name, _, value = preference.split(";")[0].partition("=")
        digits = value.strip().strip('"')
        match name.strip().lower():
            case "wait" if digits.isascii() and digits.isdigit() and math.isinf(wait):
                wait = float(digits[:9])
            case "respond-async":
                respond_async = True
            case _:
                pass
    return Preferences(wait, respond_async)
