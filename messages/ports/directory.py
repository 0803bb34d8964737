"""Where dispatches read users, templates and files from, as Protocols."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from carillon.messages.model import (
    Attachment,
    AttachmentReference,
    Audience,
    Cursor,
    Document,
    Page,
    Recipient,
)


class Directory(Protocol):
    """Where users and templates are read from."""

    async def template(self, template_id: str) -> Document:
        """The PUBLIC template with this id.

        Raises:
            TemplateNotFound: it does not exist, is not PUBLIC, or no templates are configured.
            DirectoryUnavailable: it could not be read now.
        """
        ...

    async def page(self, audience: Audience, cursor: Cursor) -> Page:
        """The part of an audience that starts at a cursor; `Cursor()` is the beginning.

        A page holds at most some hundred users. Pages may overlap in users (a cluster member may
        also be listed): enrolling their deliveries removes the duplicates. Users that share an id
        with another PUBLIC user are never returned, listed or in a cluster: their id is
        `ambiguous`.

        Raises:
            DirectoryUnavailable: it could not be read, or was cut off. Never a short page instead.
        """
        ...

    async def users(self, keys: Sequence[str]) -> Sequence[Recipient]:
        """Those of some hundred users, named by the texts of their `_id`s, that exist.

        Raises:
            DirectoryUnavailable: they could not be read.
        """
        ...

    async def check(self) -> None:
        """Return if the directory answers, else raise DirectoryUnavailable."""
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
        """Return if the service answers, else raise FilesUnavailable."""
        ...
