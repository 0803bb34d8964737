"""The journal's records of dispatches, deliveries and attempts, as Protocols."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol, get_args

from carillon.messages.model import Channel, Cursor, Outcome, Reason, Receipt

DispatchState = Literal["running", "cancelling", "done", "cancelled", "crashed"]
"""A dispatch that has not ended is `running` or `cancelling`."""
DISPATCH_STATES: Final[tuple[DispatchState, ...]] = get_args(DispatchState)

Result = Literal["accepted", "refused", "unavailable", "throttled", "unanswered", "unstarted"]
"""How an attempt ended; `unstarted` when no byte of it had left."""


@dataclass(frozen=True, slots=True)
class AudienceRecord:
    """How many recipients have been read, and of how many if that is known.

    It is `complete` once every channel has a delivery for each of them. Recipients that a cancelled
    or crashed dispatch had not read are sent nothing.
    """

    read: int
    total: int | None
    complete: bool


def audience_record(
    channels: Collection[str], read: Mapping[str, int], total: int | None, *, complete: bool
) -> AudienceRecord:
    """The record of an audience of which `read` recipients were read, by channel."""
    least = min((read.get(name, 0) for name in channels), default=0)
    if complete:
        return AudienceRecord(least, least, complete=True)
    return AudienceRecord(least, None if total is None else max(total, least), complete=False)


@dataclass(frozen=True, slots=True)
class DispatchRecord:
    """A dispatch as the journal knows it; times are milliseconds since 1970.

    `reason` says why it crashed, if it did; `caller` asked for it.
    """

    id: str
    state: DispatchState
    channels: Sequence[str]
    counts: Mapping[str, int]
    created_at: int
    ended_at: int | None
    audience: AudienceRecord
    reason: str | None = None
    caller: str = ""


@dataclass(frozen=True, slots=True)
class DispatchPage:
    """A part of the dispatches, newest first, and the cursor of the next part if there is one."""

    dispatches: Sequence[DispatchRecord]
    next: str | None


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery as the journal knows it; times are milliseconds since 1970.

    While it is pending, provider and error are those of its last attempt.
    """

    id: str
    channel: Channel
    user_id: str
    outcome: Outcome
    reason: Reason | None
    error: str | None
    provider: str | None
    provider_message_id: str | None
    attempts: int
    created_at: int
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class RecordFilter:
    """Which deliveries are wanted; an empty or absent field matches all.

    `provider` matches deliveries that ended there, or are pending after an attempt there.
    """

    outcomes: Sequence[Outcome] = ()
    channel: Channel | None = None
    user_id: str | None = None
    reasons: Sequence[Reason] = ()
    provider: str | None = None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A part of a dispatch's deliveries, and the cursor of the next part if there is one."""

    deliveries: Sequence[DeliveryRecord]
    next: str | None


@dataclass(frozen=True, slots=True)
class Remembered:
    """The dispatch that an idempotency key stands for, and the fingerprint of its request."""

    dispatch_id: str
    fingerprint: str


class Records(Protocol):
    """The reading side of the journal: dispatches, running and ended."""

    async def dispatch(self, dispatch_id: str) -> DispatchRecord | None:
        """The dispatch with this id, if there is one. Raises JournalUnavailable."""
        ...

    async def dispatches(
        self, state: DispatchState | None, cursor: str, limit: int, prefix: str = ""
    ) -> DispatchPage:
        """At most `limit` dispatches from a cursor on; "" is the newest.

        Their ids begin with `prefix`.

        Raises:
            BadCommand: the cursor was not issued by this method.
            JournalUnavailable: the journal cannot be read.
        """
        ...

    async def deliveries(
        self, dispatch_id: str, wanted: RecordFilter, cursor: str, limit: int
    ) -> RecordPage:
        """At most `limit` deliveries from a cursor on; "" is the beginning.

        Raises:
            BadCommand: the cursor was not issued by this method.
            JournalUnavailable: the journal cannot be read.
        """
        ...

    async def remembered(self, caller: str, route: str, key: str, since: int) -> Remembered | None:
        """What a key stands for, if it came at `since` or later (milliseconds since 1970).

        Raises JournalUnavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A dispatch that has not ended; `counts` are the deliveries that already have an outcome.

    `caller` asked for it. Its request, which may be long, is read separately.
    """

    id: str
    channels: Sequence[Channel]
    cancelled: bool
    counts: Mapping[Outcome, int]
    progress: Mapping[Channel, Cursor]
    caller: str = ""


@dataclass(frozen=True, slots=True)
class PastAttempt:
    """An attempt that counts; the last one without a result was open when the process ended."""

    number: int
    provider: str
    result: Result | None


@dataclass(frozen=True, slots=True)
class Pending:
    """A delivery without an outcome, and its attempts in order.

    `starts` is the number of its last attempt, whether that counts or not; 0 if there was none.
    `ended` is how it ended after all, if another process had yet to report it.
    """

    key: str
    user_id: str
    attempts: Sequence[PastAttempt]
    starts: int = 0
    ended: Receipt | None = None


class Recovery(Protocol):
    """What a process needs from the journal to take up what an earlier one left."""

    async def unfinished(self, running: Collection[str] = ()) -> Sequence[Unfinished]:
        """Every dispatch that has not ended and that no process works on, the oldest first.

        Those that are `running` here are left out. The others belong to this process from now on.

        Raises JournalUnavailable.
        """
        ...

    async def request(self, dispatch_id: str) -> str | bytes | None:
        """The recorded request of a dispatch, ended or not; None once it was erased.

        It is a JSON text, in UTF-8 if it is long.

        Raises JournalUnavailable.
        """
        ...

    async def find_unfinished(self, dispatch_id: str) -> Unfinished | None:
        """An unfinished dispatch by its id. Raises JournalUnavailable."""
        ...

    async def pending(
        self, dispatch_id: str, channel: Channel, after: str, limit: int
    ) -> Sequence[Pending]:
        """At most `limit` pending deliveries in the order of their keys, beyond `after`.

        Raises JournalUnavailable.
        """
        ...


class Pauses(Protocol):
    """The pauses that providers have asked for, durable."""

    async def left(self) -> Mapping[str, float]:
        """The seconds that are left, by provider. Raises JournalUnavailable."""
        ...

    async def keep(self, provider: str, seconds: float) -> None:
        """Make a provider's pause of that many seconds durable. Raises JournalUnavailable."""
        ...


class PastCalls(Protocol):
    """The journal's record of calls that an earlier process made."""

    async def calls(self, provider: str, since: int) -> Sequence[tuple[int, int]]:
        """When calls to a provider were last known to be open since a time, and how many then.

        Oldest first; all times are milliseconds since 1970. Calls that were never answered count as
        open when this process began. Times older than some minutes may be some seconds too late.
        Raises JournalUnavailable.
        """
        ...

    async def forget(self, before: int) -> None:
        """Erase calls that ended before a time. Raises JournalUnavailable."""
        ...
