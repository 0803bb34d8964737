"""From a file into the store: all of it is checked before any is written."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Final

import click

from carillon.cli.directory.local_store import Collection, LocalStore, Unusable, inspection, opened
from carillon.cli.failure import BadInput, Failure
from carillon.cli.progress import bar
from carillon.messages.model import Document, UserFields
from carillon.settings import ClientSettings
from carillon.stores.imports.documents import BadLine, Read, json_documents
from carillon.stores.imports.user_ids import SeenIds, settled
from carillon.stores.mongodb.url import MongoUrl

_EVERY: Final = 1000
"""Lines between two steps of the bar."""


@dataclass(frozen=True, slots=True)
class Import:
    """What is imported, and how; `inspect` raises ValueError for a document that is refused.

    `fields` are those of users; None for templates.
    """

    collection: Collection
    read: Read
    fields: UserFields | None = None
    inspect: Callable[[Document], None] = lambda _: None

    @property
    def id_field(self) -> str:
        """The field that identifies documents besides `_id`, or `_id` itself."""
        return "_id" if self.fields is None else self.fields.id


def import_file(job: Import, source: str, store: Path | MongoUrl, *, as_json: bool) -> None:
    """Import a file, or stdin for `-`, and print how many documents there were.

    Raises:
        BadInput: the file cannot be read, or a line of it is bad; nothing was imported.
        Failure: the store cannot be written.
    """
    with opened_file(source) as file:
        try:
            start = file.tell()
            total = _check(job, file, inspection(store))
            file.seek(start)
            removed = _write(job, file, store, total)
        except BadLine as error:
            raise BadInput(f"{name_of(source)}, {error}; nothing was imported") from None
    if as_json:
        doubles = {"removed": removed} if removed else {}
        click.echo(json.dumps({"imported": total, "store": str(store), **doubles}))
    else:
        things = job.collection if total == 1 else f"{job.collection}s"
        click.echo(f"Imported {total:,} {things} into {store}.")
        if removed:
            doubles_were = "double of them was" if removed == 1 else "doubles of them were"
            click.echo(f"{removed:,} {doubles_were} removed.")


def import_to_service(
    service: ClientSettings, collection: Collection, source: str, *, as_json: bool
) -> None:
    """Import a file of JSON, or stdin for `-`, through a running service, and print how many.

    Raises:
        BadInput: the file cannot be read, or a line of it is bad; nothing was imported.
        Failure: the service cannot be used.
    """
    from carillon.cli.directory.place import Service

    with opened_file(source) as file:
        total = Service(service).import_file(collection, file)
    if as_json:
        click.echo(json.dumps({"imported": total, "service": service.url}))
    else:
        things = collection if total == 1 else f"{collection}s"
        click.echo(f"Imported {total:,} {things} through {service.url}.")


def one_document(source: str) -> Document:
    """The only document in a file, or in stdin for `-`. Raises BadInput."""
    with opened_file(source) as file:
        try:
            found = [document for _, document in islice(json_documents(file), 2)]
        except BadLine as error:
            raise BadInput(f"{name_of(source)}, {error}") from None
    if len(found) != 1:
        raise BadInput(f"{name_of(source)} must hold one JSON object")
    return found[0]


@contextmanager
def opened_file(source: str) -> Iterator[BinaryIO]:
    """The file, or stdin for `-`: a copy of what can be read only once.

    Raises:
        BadInput: it cannot be read.
    """
    try:
        with nullcontext(sys.stdin.buffer) if source == "-" else Path(source).open("rb") as file:
            if file.seekable():
                yield file
                return
            with tempfile.TemporaryFile() as copy:
                shutil.copyfileobj(file, copy)
                copy.seek(0)
                yield copy
    except OSError as error:
        raise BadInput(f"{name_of(source)} cannot be read: {error.strerror or error}") from None


def name_of(source: str) -> str:
    """What the file is called in a sentence."""
    return "stdin" if source == "-" else source


def _check(job: Import, file: BinaryIO, inspect: Callable[[Document], None]) -> int:
    start = file.tell()
    size = file.seek(0, os.SEEK_END) - file.seek(start)
    found = 0
    with bar("Checking", size) as show, closing(SeenIds(job.id_field)) as seen:
        for found, (number, document) in enumerate(job.read(file), 1):
            try:
                job.inspect(document)
                inspect(document)
                seen.add(number, document)
            except ValueError as error:
                raise BadLine(number, str(error)) from None
            if found % _EVERY == 0:
                show(file.tell() - start)
    return found


def _write(job: Import, file: BinaryIO, store: Path | MongoUrl, total: int) -> int:
    """Write all, and return how many users were removed since others came in their place."""
    written = 0
    removed: list[str] = []
    fields = None if job.id_field == "_id" else job.fields
    try:
        with opened(store, job.collection, made=True, fields=fields) as local_store:
            documents = _settled(job, file, local_store, removed)
            with bar("Importing", total) as show:
                for written in local_store.write(documents):
                    show(written)
    except Unusable as error:
        raise Failure(
            f"The store {store} cannot be written: {error}; {written:,} documents were imported"
        ) from None
    return len(removed)


def _settled(
    job: Import, file: BinaryIO, local_store: LocalStore, removed: list[str]
) -> Iterator[Document]:
    """The documents as they are written; all are looked at before the first one is."""
    if job.id_field == "_id":
        return (document for _, document in job.read(file))
    start, known = file.tell(), local_store.known(job.id_field)
    for _ in settled(job.read(file), job.id_field, known):
        pass
    file.seek(start)

    def documents() -> Iterator[Document]:
        for part in settled(job.read(file), job.id_field, known):
            local_store.remove(part.replaced)
            removed.extend(part.replaced)
            yield from part.documents

    return documents()
