"""Where commands find users and templates: at a running service, or in its store."""

from __future__ import annotations

import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, Protocol, TypeVar
from urllib.parse import quote

import click
import httpx
import trio
from click.core import ParameterSource
from pydantic import BaseModel, ConfigDict, JsonValue, RootModel

from carillon.cli.directory.local_store import user_fields
from carillon.cli.failure import BadInput, Failure, of_the_store
from carillon.cli.options import client, named_store
from carillon.cli.service_client import Connection
from carillon.messages.errors import CarillonError, TryLater
from carillon.messages.model import Document
from carillon.settings import ClientSettings, is_own_machine
from carillon.stores.editing import DirectoryEditor
from carillon.stores.errors import StoreError
from carillon.stores.mongodb.url import MongoUrl
from carillon.stores.ports import Collection

T = TypeVar("T")

_PAGE: Final = "1000"
_PART: Final = 262_144
_CONNECT_SECONDS: Final = 2.0


class Place(Protocol):
    """Where documents are. Each method raises BadInput for what is refused, else Failure."""

    def get(self, collection: Collection, name: str) -> Document:
        """A document."""
        ...

    def put(self, collection: Collection, name: str, document: Document) -> bool:
        """Write a document whole; False if it replaced one."""
        ...

    def remove(self, collection: Collection, name: str) -> None:
        """Take a document out."""
        ...

    def documents(self, collection: Collection, cluster: str | None) -> Iterator[Document]:
        """All documents by `_id`, or the members of a cluster."""
        ...


def asked_service(url: str | None, api_key: str | None) -> ClientSettings | None:
    """The service that is meant; None if it is the store.

    `--url` and `--store` say so, then STORE_URL, then CARILLON_URL, unless nothing listens there on
    this machine; else it is the store.
    """
    context = click.get_current_context()
    of_url, of_store = map(context.get_parameter_source, ("url", "store"))
    is_store = of_store in {ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT}
    if of_url is ParameterSource.COMMANDLINE and of_store is ParameterSource.COMMANDLINE:
        raise BadInput("--url and --store exclude each other")
    if url is None or (is_store and of_url is not ParameterSource.COMMANDLINE):
        return None
    service = client(url, api_key)
    is_told = of_url is ParameterSource.COMMANDLINE
    return service if is_told or _may_answer(service.url) else None


def _may_answer(url: str) -> bool:
    """Whether something listens at an address of this machine; any other one is not tried."""
    address = httpx.URL(url)
    if not is_own_machine(address.host):
        return True
    port = address.port or {"https": 443}.get(address.scheme, 80)
    try:
        socket.create_connection((address.host, port), _CONNECT_SECONDS).close()
    except ConnectionRefusedError:
        return False
    except OSError:  # whoever asks it will say what is wrong
        return True
    return True


def place_of(url: str | None, api_key: str | None, store: str | None) -> Place:
    """The service or the store that is meant."""
    service = asked_service(url, api_key)
    return OwnStore(named_store(store)) if service is None else Service(service)


class _Page(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow")

    next: str | None


class _Imported(BaseModel):
    model_config = ConfigDict(strict=True)

    imported: int


class _Any(RootModel[dict[str, JsonValue]]):
    """A document as it is."""


class Service:
    """A running service, over HTTP."""

    def __init__(self, service: ClientSettings) -> None:
        self._service = service

    def get(self, collection: Collection, name: str) -> Document:
        """See the port."""
        with closing(Connection(self._service)) as connection:
            return dict(connection.ask(_path(collection, name), _Any).root)

    def put(self, collection: Collection, name: str, document: Document) -> bool:
        """See the port."""
        with closing(Connection(self._service)) as connection:
            answer = connection.exchange("PUT", _path(collection, name), document)
        return answer.status_code == httpx.codes.CREATED

    def remove(self, collection: Collection, name: str) -> None:
        """See the port."""
        with closing(Connection(self._service)) as connection:
            connection.exchange("DELETE", _path(collection, name))

    def documents(self, collection: Collection, cluster: str | None) -> Iterator[Document]:
        """See the port."""
        query = {"limit": _PAGE} if cluster is None else {"limit": _PAGE, "cluster": cluster}
        cursor: str | None = ""
        with closing(Connection(self._service)) as connection:
            while cursor is not None:
                asked = {**query, "cursor": cursor}
                page = connection.ask(f"/{collection}s", _Page, asked)
                extra: dict[str, list[Document]] = page.model_extra or {}
                yield from extra.get(f"{collection}s", [])
                cursor = page.next

    def import_file(self, collection: Collection, file: BinaryIO) -> int:
        """Write all documents of a file of JSON, or none; how many there are."""
        start, size = file.tell(), file.seek(0, os.SEEK_END)

        def parts() -> Iterator[bytes]:
            file.seek(start)
            while part := file.read(_PART):
                yield part

        with closing(Connection(self._service)) as connection:
            path = f"/{collection}s/import"
            return connection.upload(path, parts, size - start, _Imported).imported


class OwnStore:
    """The store itself: a service may use it meanwhile."""

    def __init__(self, store: Path | MongoUrl) -> None:
        self._store = store

    def get(self, collection: Collection, name: str) -> Document:
        """See the port."""
        return self._run(collection, lambda editor: editor.get(collection, name))

    def put(self, collection: Collection, name: str, document: Document) -> bool:
        """See the port."""
        return self._run(
            collection,
            lambda editor: editor.put(collection, name, document, _nothing),
            made=True,
        )

    def remove(self, collection: Collection, name: str) -> None:
        """See the port."""
        self._run(collection, lambda editor: editor.remove(collection, name, _nothing))

    def documents(self, collection: Collection, cluster: str | None) -> Iterator[Document]:
        """See the port."""
        cursor: str | None = ""
        while cursor is not None:
            read = partial(_page, collection, cluster, cursor)
            found, cursor = self._run(collection, read)
            yield from found

    def _run(
        self,
        collection: Collection,
        job: Callable[[DirectoryEditor], Awaitable[T]],
        *,
        made: bool = False,
    ) -> T:
        store = self._store
        if isinstance(store, Path) and not made and not store.exists():
            raise Failure(
                f"There is no store at {store}; `carillon {collection}s import` makes one"
            )

        async def run() -> T:
            async with _editor(store, made=made) as editor:
                return await job(editor)

        try:
            return trio.run(run)
        except StoreError as error:
            raise of_the_store(error) from None
        except TryLater as error:
            raise Failure(str(error)) from None
        except CarillonError as error:
            raise BadInput(str(error)) from None


@asynccontextmanager
async def _editor(store: Path | MongoUrl, *, made: bool) -> AsyncGenerator[DirectoryEditor]:
    from carillon.dispatches.template_faults import TemplateFaults
    from carillon.messages.offload import Offload

    fields, faults = user_fields(store), TemplateFaults()
    make = partial(
        DirectoryEditor,
        fields=fields,
        problems=lambda one: [*faults.problems(one)],
        offload=Offload(),
    )
    if isinstance(store, Path):
        from carillon.stores.sqlite.database import open_store
        from carillon.stores.sqlite.editing import SqliteEditing

        open_store(store).close()
        with closing(SqliteEditing(store)) as editing:
            yield make(editing)
        return
    from carillon.stores.mongodb.client import MongoStore, check_schema, connected, prepare
    from carillon.stores.mongodb.editing import MongoEditing

    with connected(store) as mongo:
        if made:
            prepare(mongo, store, {})
        else:
            check_schema(mongo, store)
        yield make(MongoEditing(MongoStore(mongo, store.database), fields))


async def _page(
    collection: Collection, cluster: str | None, cursor: str, editor: DirectoryEditor
) -> tuple[list[Document], str | None]:
    page = await editor.page(collection, cluster, cursor, int(_PAGE))
    return [*page.documents], page.next


async def _nothing() -> None:
    """Nobody audits what is done on the store itself."""


def _path(collection: Collection, name: str) -> str:
    return f"/{collection}s/{quote(name, safe='')}"
