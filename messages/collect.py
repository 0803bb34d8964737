"""The reply address of one dispatch: counts outcomes and keeps failures, up to a bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import trio

from messages.events import DeliveryEnded, Observer
from messages.model import FAILURES, Outcome, Receipt
from messages.report import Failure, Report


class Collector:
    """Synchronous, and safe when nobody waits any more. `counts` is what ended before it began.

    Each outcome is handed to `record`, which makes it durable, then counted, then observed.

    Each enrolled delivery is answered once (its envelope sees to that), so counting suffices and
    memory does not grow with the number of recipients.
    """

    def __init__(
        self,
        dispatch_id: str,
        record: Callable[[Receipt], None],
        observe: Observer,
        most_failures: int,
        counts: Mapping[Outcome, int],
    ) -> None:
        self._dispatch_id = dispatch_id
        self._record = record
        self._observe = observe
        self._most_failures = most_failures
        self._failures: list[Failure] = []
        self._counts = Counter(counts)
        self._failures_total = sum(self._counts[outcome] for outcome in FAILURES)
        self._enrolled = self._counts.total()
        self._feeding = True
        self.complete = trio.Event()

    def expect(self, deliveries: int) -> None:
        """So many more deliveries will be answered."""
        self._enrolled += deliveries

    def reply(self, receipt: Receipt) -> None:
        """Take the answer to one expected delivery."""
        self._record(receipt)
        self._count(receipt)
        self._complete_if_done()
        self._observe(DeliveryEnded(receipt))

    def _count(self, receipt: Receipt) -> None:
        self._counts[receipt.outcome] += 1
        if receipt.is_failure:
            self._failures_total += 1
            if len(self._failures) < self._most_failures:
                self._failures.append(Failure(receipt.user_id, receipt.channel, receipt.error))

    def hear(self, receipt: Receipt) -> None:
        """Take an answer that was given and told elsewhere."""
        self._count(receipt)
        self._complete_if_done()

    def feeding_ended(self) -> None:
        """No further delivery will be expected."""
        self._feeding = False
        self._complete_if_done()

    def report(self) -> Report:
        """What is known now."""
        return Report(
            dispatch_id=self._dispatch_id,
            failures=tuple(self._failures),
            failures_total=self._failures_total,
            pending=self._pending,
            counts=dict(self._counts),
        )

    @property
    def _pending(self) -> int:
        return self._enrolled - self._counts.total()

    def _complete_if_done(self) -> None:
        if not self._feeding and not self._pending:
            self.complete.set()
