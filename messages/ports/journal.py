"""The durable record of dispatches, deliveries and attempts: what it must do, as Protocols.

The order of writes is the promise. A dispatch is durable before its caller gets an answer and
before its first call; an attempt is durable before its bytes leave; outcomes follow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from carillon.messages.errors import JournalUnavailable
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
    """A caller's name for a request, and the fingerprint that tells requests apart.

    The name may be used again after `expiry` seconds.
    """

    caller: str
    route: str
    key: str
    fingerprint: str
    expiry: float = 86_400.0


@dataclass(frozen=True, slots=True)
class NewDispatch:
    """A dispatch that is about to exist; `request` is what it needs to go on after a restart.

    `caller` asks for it. Its audience has `total` recipients, if that is known, and `is_read` if
    the first deliveries are all. The request is a JSON text, in UTF-8 if it is long.
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
    """Where reading the audience for a channel resumes after a restart, unless it `is_read`."""

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
    """How a call that did not end its delivery ended; `error` is text for people."""

    dispatch_id: str
    channel: Channel
    key: str
    number: int
    result: Result
    error: str = ""


@dataclass(frozen=True, slots=True)
class DispatchEnd:
    """How a dispatch ended: whether its audience `is_read`; `crash` says what cut it short."""

    is_read: bool = True
    crash: str | None = None


StartsTold = Callable[[Mapping[int, JournalUnavailable]], None]
"""Hears that starts are durable, but those at these places: such attempts must not be made."""


class AttemptLog(Protocol):
    """What the workers write before and after each call."""

    def start_all(self, attempts: Sequence[AttemptStart], told: StartsTold) -> None:
        """Hand over the starts of attempts, to be made durable together.

        `told` is called once, when they and everything that was handed over before them are
        durable or have failed to be. It may be called before this returns, and must not raise.
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
    """The writing side of the journal.

    Writes keep their order: when an awaited one returns, all that were handed over before it are
    durable too.
    """

    @property
    def is_working(self) -> bool:
        """Whether the last writes succeeded."""
        ...

    @property
    def trouble(self) -> str | None:
        """Why the last writes failed, without values; None if they succeeded."""
        ...

    async def open(self, dispatch: NewDispatch, rows: Sequence[Enrolment] = ()) -> Sequence[bool]:
        """Make a dispatch durable, and its first deliveries as pending, in one write.

        Its id must never have been used. Returns for each row, of any channel, whether it is new,
        as `enrol` does. Its idempotency key replaces an expired one.

        Raises:
            JournalUnavailable: nothing of it was written.
        """
        ...

    async def enrol(
        self, dispatch_id: str, rows: Sequence[Enrolment], progress: Progress
    ) -> Sequence[bool]:
        """Make deliveries durable as pending; returns for each row whether it is new.

        A row that is not new was enrolled before and must not be sent from here. Of duplicate rows
        in one call the first is new.

        Raises:
            JournalUnavailable: nothing of it was written.
        """
        ...

    def record(self, receipt: Receipt) -> None:
        """Hand over the outcome of an enrolled delivery; durable with the next awaited write."""
        ...

    async def flush(self) -> None:
        """Make everything that was handed over durable. Raises JournalUnavailable."""
        ...

    async def close(
        self,
        dispatch_id: str,
        counts: Mapping[Outcome, int],
        kept: str | bytes | None,
        end: DispatchEnd | None = None,
    ) -> None:
        """Make the end of a dispatch durable, and every outcome recorded before it.

        `kept` replaces its request; without it the request is erased. A dispatch that was cancelled
        or crashed before it was redriven stays so. Without `end` the audience was read and nothing
        crashed.

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
        """Make ended deliveries of an ended dispatch pending again, all or none; returns how many.

        With at least one the dispatch is running again. Earlier attempts do not count.

        Raises:
            JournalUnavailable: nothing was written.
        """
        ...
