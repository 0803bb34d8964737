"""The files that the mails of a dispatch carry, each fetched once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from carillon.messages.errors import BadCommand
from carillon.messages.model import Attachment, AttachmentReference
from carillon.messages.ports.directory import Files
from carillon.messages.retry import ReadRetry

MOST_FILES: Final = 1000
"""Most files that a request may name."""


def references(
    listed: Sequence[str], template: Mapping[str, object]
) -> Sequence[AttachmentReference]:
    """The request's files, then the template's, each file once.

    Raises:
        BadCommand: there are too many, or the template's list is not made of objects with a `file`.
    """
    if len(listed) > MOST_FILES:
        raise BadCommand(f"emailAttachments must have at most {MOST_FILES:,} items")
    found = [AttachmentReference(file) for file in listed]
    stored = template.get("emailAttachments") or []
    if not isinstance(stored, list):
        raise BadCommand("The template's emailAttachments must be an array")
    found += [_stored(item) for item in stored]
    merged: dict[str, AttachmentReference] = {}
    for reference in found:
        merged.setdefault(reference.file, reference)
    return list(merged.values())


def _stored(item: object) -> AttachmentReference:
    file = item.get("file") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(file, str):
        raise BadCommand("The template's emailAttachments must be objects with a file")
    name, size = item.get("name"), item.get("size")
    return AttachmentReference(
        file,
        name if isinstance(name, str) else None,
        size if isinstance(size, int) else None,
    )


async def fetch(
    files: Files, wanted: Sequence[AttachmentReference], patience: ReadRetry
) -> Sequence[Attachment]:
    """Every file, one after the other.

    Raises:
        AttachmentRefused: one is missing or too large, or there is no file service.
        FilesUnavailable: one could not be read.
    """
    return [await patience.read(partial(files.fetch, reference)) for reference in wanted]
