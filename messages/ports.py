"""What the pipeline needs from the rooms to its right, as Protocols."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from messages.envelope import Envelope
from messages.model import (
    Attachment,
    AttachmentReference,
    Audience,
    Channel,
    Cursor,
    Document,
    Outcome,
    Page,
    Reason,
    Receipt,
)


class Directory(Protocol):
    """Where users and templates are read from."""

    async def template(self, template_id: str) -> Document:
        """The PUBLIC template with this id.

        Raises:
            TemplateNotFound: nobody has it, it is not PUBLIC, or no templates are configured.
            DirectoryUnavailable: it could not be read now.
        """
        ...

    async def page(self, audience: Audience, cursor: Cursor) -> Page:
        """The part of an audience that starts at a cursor; `Cursor()` is the beginning.

        One page is at most some hundreds of users. Pages may overlap in users (a member of a
        cluster who is listed too): whoever enrols deliveries removes the repeats.

        Raises:
            DirectoryUnavailable: it could not be read, or was cut off. Never a short page instead.
        """
        ...

    async def check(self) -> None:
        """Return when the directory answers; raise DirectoryUnavailable when not."""
        ...


class Files(Protocol):
    """Where attachments are fetched from."""

    async def fetch(self, reference: AttachmentReference) -> Attachment:
        """The whole file, at most 15 MiB.

        Raises:
            AttachmentRefused: it is missing, too large, or no file service is configured.
            FilesUnavailable: it could not be read now.
        """
        ...

    async def check(self) -> None:
        """Return when the service answers; raise FilesUnavailable when not."""
        ...


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A delivery that is about to exist; channel and key name it inside its dispatch."""

    channel: Channel
    key: str
    user_id: str


class Journal(Protocol):
    """The durable record of dispatches and deliveries.

    Writes keep their order: when an awaited one returns, all that were handed over before it are
    durable too.
    """

    async def open(
        self, dispatch_id: str, channels: Sequence[Channel], rows: Sequence[Enrolment] = ()
    ) -> Sequence[bool]:
        """Make a dispatch durable, and its first deliveries as pending, in one write.

        Returns for each row, of whatever channel, whether it is new, as `enrol` does. Opening an
        open dispatch again adds the rows that it does not have.

        Raises:
            JournalUnavailable: nothing of it was written.
        """
        ...

    async def enrol(self, dispatch_id: str, rows: Sequence[Enrolment]) -> Sequence[bool]:
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

    async def close(self, dispatch_id: str, counts: Mapping[Outcome, int]) -> None:
        """Make the end of a dispatch durable, and every outcome recorded before it.

        Raises:
            JournalUnavailable: it, or one of those outcomes, could not be written.
        """
        ...


@dataclass(frozen=True, slots=True)
class DispatchRecord:
    """A dispatch as the journal knows it; times are milliseconds since 1970."""

    id: str
    state: str
    channels: Sequence[str]
    counts: Mapping[str, int]
    created_at: int
    ended_at: int | None


@dataclass(frozen=True, slots=True)
class DeliveryRecord:
    """A delivery as the journal knows it; times are milliseconds since 1970."""

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
    """Which deliveries are asked for; an empty or absent part asks for all."""

    outcomes: Sequence[Outcome] = ()
    channel: Channel | None = None
    user_id: str | None = None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """A part of a dispatch's deliveries, and the cursor of the next part if there is one."""

    deliveries: Sequence[DeliveryRecord]
    next: str | None


class Records(Protocol):
    """What the journal tells of dispatches, running and done."""

    async def dispatch(self, dispatch_id: str) -> DispatchRecord | None:
        """The dispatch with this id, if there is one. Raises JournalUnavailable."""
        ...

    async def deliveries(
        self, dispatch_id: str, wanted: RecordFilter, cursor: str, limit: int
    ) -> RecordPage:
        """At most `limit` deliveries from a cursor on; "" is the beginning.

        Raises:
            BadCommand: the cursor is none that this gave out.
            JournalUnavailable: the journal cannot be read.
        """
        ...


class Post(Protocol):
    """The way into the channels' inboxes."""

    async def room(self, channel: Channel, dispatch_id: str, until: float) -> int:
        """Wait until a channel has room for more of a dispatch: for how many deliveries.

        Returns by `until` (trio's clock) whatever the room; a closed channel has room at once.
        """
        ...

    def put(self, channel: Channel, envelopes: Sequence[Envelope]) -> None:
        """Hand over deliveries of one dispatch. A closed channel answers them at once."""
        ...
