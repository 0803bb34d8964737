"""What the stores keep besides users, templates and the journal, as Protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, TypeVar

from carillon.messages.model import Document

T = TypeVar("T")

Collection: TypeAlias = Literal["user", "template"]


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


@dataclass(frozen=True, slots=True)
class DocumentPage:
    """Documents in the order of their `_id`, and the place of the next ones if there are more."""

    documents: Sequence[Document]
    next: str | None


class DocumentStore(Protocol):
    """Users and templates as they are edited, whatever their state: no await, one caller at a time.

    Documents are named by the text of their `_id`. What a store raises when it fails is its own.
    """

    def known(self, field: str) -> KnownUsers:
        """What finds users by `_id` and by this field."""
        ...

    def get(self, collection: Collection, key: str) -> Document | None:
        """The document, if it is there."""
        ...

    def page(
        self, collection: Collection, cluster: str | None, after: str, limit: int
    ) -> DocumentPage:
        """At most `limit` documents, fewer if they are large, beyond a place; "" is the beginning.

        Only members of a cluster, if one is named.

        Raises:
            BadCommand: there is no such place.
        """
        ...

    def put(self, collection: Collection, document: Document) -> bool:
        """Write a document that has an `_id`; False if it replaced one.

        Raises:
            ValueError: the store cannot hold it.
        """
        ...

    def remove(self, collection: Collection, key: str) -> bool:
        """Take a document out; False if it was not there."""
        ...

    def check(self, document: Document) -> None:
        """Raise ValueError for a document that the store cannot hold."""
        ...

    def stage(
        self, collection: Collection, documents: Sequence[Document], replaced: Sequence[str]
    ) -> None:
        """Write documents of an import, and take out the users whose `_id`s are replaced.

        A store with transactions only keeps them for `finish`. A document without `_id` gets one.
        """
        ...

    def finish(self, collection: Collection) -> None:
        """Write what was staged, all or nothing."""
        ...

    def abort(self) -> None:
        """Forget what was staged."""
        ...


class Editing(Protocol):
    """Access to a store of documents for a service, one job at a time."""

    async def run(self, job: Callable[[DocumentStore], T]) -> T:
        """What the job returns or raises, run in a thread.

        Raises:
            DirectoryUnavailable: the store failed.
        """
        ...


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
