"""The reply address of one dispatch: counts outcomes and keeps failures, up to a bound."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import trio

from carillon.messages.events import DeliveryDoubted, DeliveryEnded, Observer
from carillon.messages.model import FAILURES, Channel, Outcome, Receipt


@dataclass(frozen=True, slots=True)
class Failure:
    """One entry of the answer's `failures`."""

    user_id: str
    channel: Channel
    error: str


@dataclass(frozen=True, slots=True)
class Report:
    """What is known of a dispatch at one moment; `failures` is bounded, the counts are not."""

    dispatch_id: str
    failures: Sequence[Failure]
    failures_total: int
    pending: int
    counts: Mapping[Outcome, int]


class Collector:
    """Counts outcomes. Synchronous, and safe to call when no caller waits any more.

    `counts` are the outcomes from before it began. Each outcome is handed to `record`, which makes
    it durable, then counted, then observed. `on_complete` is called once no further answer will
    come. With `notes` the collector also keeps the channel and the key of every delivery
    `answered`.

    Each enrolled delivery is answered once (its envelope ensures that), so counting suffices and
    memory does not grow with the number of recipients.
    """

    def __init__(
        self,
        dispatch_id: str,
        record: Callable[[Receipt], None],
        observe: Observer,
        most_failures: int,
        counts: Mapping[Outcome, int],
        *,
        notes: bool = False,
        on_complete: Callable[[], None] = lambda: None,
    ) -> None:
        self._dispatch_id = dispatch_id
        self._record = record
        self._observe = observe
        self._most_failures = most_failures
        self._failures: list[Failure] = []
        self._counts = Counter(counts)
        self._failures_total = sum(self._counts[outcome] for outcome in FAILURES)
        self._enrolled = self._elsewhere = self._counts.total()
        self._feeding = True
        self._on_complete = on_complete
        self.complete = trio.Event()
        self.answered: set[tuple[Channel, str]] | None = set() if notes else None

    def expect(self, deliveries: int) -> None:
        """Expect answers to this many more deliveries."""
        self._enrolled += deliveries

    def reply(self, receipt: Receipt) -> None:
        """Take the answer to one expected delivery."""
        self._record(receipt)
        if receipt.replaces is not None:
            self._count_again(receipt, receipt.replaces)
            self._observe(DeliveryDoubted(receipt))
            return
        self._count(receipt)
        self._complete_if_done()
        self._observe(DeliveryEnded(receipt))

    def _count_again(self, receipt: Receipt, before: Outcome) -> None:
        """Count an outcome that replaces another; a failure that is already listed stays."""
        self._counts[before] -= 1
        if before in FAILURES:
            self._counts[receipt.outcome] += 1
        else:
            self._count(receipt)

    def _count(self, receipt: Receipt) -> None:
        self._counts[receipt.outcome] += 1
        if self.answered is not None:
            self.answered.add((receipt.channel, receipt.key))
        if receipt.is_failure:
            self._failures_total += 1
            if len(self._failures) < self._most_failures:
                self._failures.append(Failure(receipt.user_id, receipt.channel, receipt.error))

    def notify(self, receipt: Receipt) -> None:
        """Take the outcome of an expected delivery that was never handed to a channel."""
        self._elsewhere += 1
        self.reply(receipt)

    def expect_only(self, handed: int) -> None:
        """Expect no more answers than for the deliveries that were handed to a channel."""
        self._enrolled = self._counts.total() + handed - self._replies
        self.feeding_ended()

    def hear(self, receipt: Receipt) -> None:
        """Take an answer that another replica has already recorded and reported."""
        self._elsewhere += 1
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

    @property
    def _replies(self) -> int:
        """How many deliveries that were handed to a channel have been answered."""
        return self._counts.total() - self._elsewhere

    def _complete_if_done(self) -> None:
        if not self._feeding and not self._pending:
            self.complete.set()
            self._on_complete()
