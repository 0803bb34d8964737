"""The durable record of dispatches, deliveries and attempts: what it must do, as Protocols.

The order of writes is the promise. A dispatch is durable before its caller is told so and before
its first call; an attempt is durable before its bytes leave; outcomes follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from carillon.messages.model import Channel, Cursor, Outcome, Receipt
from carillon.messages.ports.records import RecordFilter, Result
from carillon.messages.record import record


@record(frozen=True, slots=True)
class Enrolment:
    """A delivery that is about to exist; channel and key name it inside its dispatch."""

    channel: Channel
    key: str
    user_id: str


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What a caller names a request by, and the fingerprint that tells it from another one.

    Others may use the name after `expiry` seconds.
    """

    caller: str
    route: str
    key: str
    fingerprint: str
    expiry: float = 86_400.0


@dataclass(frozen=True, slots=True)
class NewDispatch:
    """A dispatch that is about to exist; `request` is what it needs in order to go on later.

    `caller` asks for it. Its audience has `total` recipients, if that is known, and `is_read` to
    its end when its first deliveries are all. The request is a JSON text, in UTF-8 when it is long.
    """

    id: str
    channels: Sequence[Channel]
    request: str | bytes
    key: IdempotencyKey | None = None
    caller: str = ""
    total: int | None = None
    is_read: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """Where reading the audience for a channel goes on after a restart, unless it `is_read`."""

    channel: Channel
    cursor: Cursor
    is_read: bool = False


@record(frozen=True, slots=True)
class AttemptStart:
    """A call that is about to be made: the `number`-th of its delivery, from 1 on."""

    dispatch_id: str
    channel: Channel
    key: str
    number: int
    provider: str


@record(frozen=True, slots=True)
class AttemptEnd:
    """How a call ended that did not end its delivery; `error` is text for people."""

    dispatch_id: str
    channel: Channel
    key: str
    number: int
    result: Result
    error: str = ""


@dataclass(frozen=True, slots=True)
class DispatchEnd:
    """How a dispatch ended: its audience `is_read` or not; `crash` says what cut it short."""

    is_read: bool = True
    crash: str | None = None


class AttemptLog(Protocol):
    """What the workers write before and after each call."""

    async def start(self, attempt: AttemptStart) -> None:
        """Make the start of an attempt durable, and all that was handed over before it.

        Raises:
            JournalUnavailable: it may not be made.
        """
        ...

    def end(self, attempt: AttemptEnd) -> None:
        """Hand over the end of an attempt after which its delivery goes on."""
        ...


@runtime_checkable
class OneLog(Protocol):
    """A journal that keeps openings and starts of attempts in one log, in their order."""

    async def open_with_starts(
        self,
        dispatch: NewDispatch,
        rows: Sequence[Enrolment],
        begin: Callable[[], None],
        withdraw: Callable[[], None],
    ) -> Sequence[bool]:
        """As `Journal.open`, in one write with the starts that come of it at once.

        `begin` is called once the opening stands in the log's next write, or before it: a start
        that is handed over from then on is durable with the opening or after it, never without.
        `withdraw` is called when the opening could not be written, before any start that came
        after `begin` is told to be durable. Neither may raise.

        Raises:
            JournalUnavailable: nothing of it was written.
        """
        ...


class Journal(AttemptLog, Protocol):
    """What is written.

    Writes keep their order: when an awaited one returns, all that were handed over before it are
    durable too.
    """

    @property
    def is_working(self) -> bool:
        """Whether the last writes went through."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the last writes did not go through, without values; None when they did."""
        ...

    async def open(self, dispatch: NewDispatch, rows: Sequence[Enrolment] = ()) -> Sequence[bool]:
        """Make a dispatch durable, and its first deliveries as pending, in one write.

        Nobody may have used its id before. Returns for each row, of whatever channel, whether it
        is new, as `enrol` does. Its idempotency key takes the place of an expired one.

        Raises:
            JournalUnavailable: nothing of it was written.
        """
        ...

    async def enrol(
        self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress
    ) -> Sequence[bool]:
        """Make deliveries durable as pending; tells for each row whether it is new.

        A row that is not new was enrolled before and must not be sent from here. Of rows that
        repeat each other in one call the first is new.

        Raises:
            JournalUnavailable: nothing of it was written.
        """
        ...

    def record(self, receipt: Receipt) -> None:
        """Hand over the outcome of an enrolled delivery; durable with the next awaited write."""
        ...

    async def flush(self) -> None:
        """Make all that was handed over durable. Raises JournalUnavailable."""
        ...

    async def close(
        self,
        dispatch_id: str,
        counts: Mapping[Outcome, int],
        kept: str | bytes | None,
        end: DispatchEnd | None = None,
    ) -> None:
        """Make the end of a dispatch durable, and every outcome recorded before it.

        `kept` takes the place of its request; without it the request is erased. One that was
        cancelled or crashed before it was driven again stays so. The `end` is a usual one unless it
        is given.

        Raises:
            JournalUnavailable: it, or one of those outcomes, could not be written.
        """
        ...

    async def cancel(self, dispatch_id: str) -> None:
        """Make it durable that nothing more of a running dispatch may start.

        Raises:
            JournalUnavailable: it was not written.
        """
        ...

    async def redrive(self, dispatch_id: str, wanted: RecordFilter) -> int:
        """Make ended deliveries of an ended dispatch pending again, all or none; how many.

        With at least one the dispatch is running again. Attempts made before do not count.

        Raises:
            JournalUnavailable: nothing was written.
        """
        ...
