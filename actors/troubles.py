"""What went wrong at a provider lately: the last error of each kind, and how many there were."""

from __future__ import annotations

import time
from collections.abc import Sequence

from carillon.actors.call import kind
from carillon.actors.limits import ProviderError
from carillon.messages.events import AttemptResult
from carillon.messages.model import Refused, Unanswered, Unavailable


class Troubles:
    """Counts what is not accepted, since the start of the process."""

    def __init__(self) -> None:
        self._last: dict[AttemptResult, ProviderError] = {}

    def note(self, attempt: Refused | Unavailable | Unanswered) -> None:
        """This went wrong now."""
        result = kind(attempt)
        before = self._last.get(result)
        count = 1 if before is None else before.count + 1
        self._last[result] = ProviderError(result, count, attempt.error, time.time())

    def listed(self) -> Sequence[ProviderError]:
        """One entry a kind."""
        return tuple(self._last.values())
