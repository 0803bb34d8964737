"""What the pipeline needs from the rooms to its right, as Protocols."""

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
            TemplateNotFound: nobody has it, it is not PUBLIC, or no templates are configured.
            DirectoryUnavailable: it could not be read now.
        """
        ...

    async def page(self, audience: Audience, cursor: Cursor) -> Page:
        """The part of an audience that starts at a cursor; `Cursor()` is the beginning.

        One page is at most some hundreds of users. Pages may overlap in users (a member of a
        cluster who is listed too): whoever enrols deliveries removes the repeats. Users who share
        an id with another PUBLIC one are never given, listed or in a cluster: their id is
        `ambiguous`.

        Raises:
            DirectoryUnavailable: it could not be read, or was cut off. Never a short page instead.
        """
        ...

    async def users(self, keys: Sequence[str]) -> Sequence[Recipient]:
        """Those of some hundred users, named by the texts of their `_id`s, that are there.

        Raises:
            DirectoryUnavailable: they could not be read.
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
