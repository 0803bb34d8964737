"""What the stores keep besides users, templates and the journal, as Protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from carillon.messages.model import Document


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A change and its author; `at` is in milliseconds since 1970.

    `before` and `after` hold the keys that changed and no others. A change that concerns no single
    provider has no `provider`.
    """

    at: int
    who: str
    action: str
    provider: str | None
    before: Document
    after: Document


@dataclass(frozen=True, slots=True)
class AuditPage:
    """A part of the audit, newest first, and the cursor of the next part if there is one."""

    entries: Sequence[AuditEntry]
    next: str | None


@dataclass(frozen=True, slots=True)
class KnownUser:
    """A user of a store: the text of its `_id`, and its id where that is another field."""

    key: str
    user_id: str | None
    is_public: bool


KnownUsers: TypeAlias = Callable[[Sequence[str]], Iterable[KnownUser]]
"""Gives the users whose `_id` or id is one of these texts, each once."""


class LiveSettings(Protocol):
    """What operators have set while the service ran, and the audit of it."""

    async def overrides(self) -> Mapping[str, Document]:
        """The keys that win over the configuration file, by the provider's name.

        Raises:
            JournalUnavailable: they cannot be read.
        """
        ...

    async def change(self, provider: str, override: Document, entry: AuditEntry) -> None:
        """Make a provider's whole override durable together with its entry; empty removes it.

        Raises:
            JournalUnavailable: neither was written.
        """
        ...

    async def record(self, entries: Sequence[AuditEntry]) -> None:
        """Make entries durable, all or none, for changes that are kept elsewhere or nowhere.

        Raises:
            JournalUnavailable: none was written.
        """
        ...

    async def audit(self, provider: str | None, cursor: str, limit: int) -> AuditPage:
        """At most `limit` entries from a cursor on; "" is the newest. No provider means all.

        Raises:
            BadCommand: the cursor is none that this gave out.
            JournalUnavailable: they cannot be read.
        """
        ...


class CompareAndSetStore(Protocol):
    """One text for each provider, which replicas change by compare-and-set."""

    async def read(self, provider: str) -> tuple[str, str]:
        """The version and the text; both are empty when nothing was written yet.

        Raises:
            JournalUnavailable: it cannot be read.
        """
        ...

    async def swap(self, provider: str, version: str, text: str) -> bool:
        """Write a text in place of exactly this version; False when that is not there any more.

        It is False, too, when this was written, its answer got lost, and others wrote after it.

        Raises:
            JournalUnavailable: it may have been written, or be written later.
        """
        ...
