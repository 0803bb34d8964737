"""One read of the CRUD Service: an answer that is whole and well formed, or an error.

Lists are piped to the socket after the 200, so a fault of the database midway only cuts the
connection (contracts 1.1, *Streaming and failure*): a cut answer is a failed read, never a short
page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import httpx
import trio
from pydantic_core import from_json

from messages.errors import DirectoryUnavailable
from messages.model import Document, JsonValue
from stores.crud_query import Collection

_MESSAGE_LENGTH: Final = 200
_QUERY: Final = re.compile(r"[?{\[]|%7B", re.IGNORECASE)


class InvalidObjectId(DirectoryUnavailable):
    """A value of the query is no ObjectId, so that the whole query was refused."""


class NoSuchDocument(DirectoryUnavailable):
    """404. For a list it means that the collection does not exist."""


class CrudClient:
    """Reads JSON over a shared client, which the caller closes. It never repeats a read.

    No header of a request of ours goes along (contracts 1.7).
    """

    def __init__(self, client: httpx.AsyncClient, timeout: float) -> None:
        self._client = client
        self._timeout = timeout

    @contextmanager
    def deadline(self) -> Iterator[None]:
        """Bounds a whole read in seconds, however many requests it takes.

        Raises:
            DirectoryUnavailable: the time is over.
        """
        try:
            with trio.fail_after(self._timeout):
                yield
        except trio.TooSlowError as error:
            raise DirectoryUnavailable(
                f"The CRUD Service did not answer within {self._timeout:g} seconds"
            ) from error

    async def documents(self, collection: Collection, url: str) -> list[Document]:
        """The documents of one page.

        Raises:
            InvalidObjectId: a value cannot be cast.
            DirectoryUnavailable: it could not be read whole, or was refused.
        """
        value = await self._read(collection, url)
        if not isinstance(value, list):
            raise _malformed(collection)
        return [_document(collection, item) for item in value]

    async def document(self, collection: Collection, url: str) -> Document:
        """One document.

        Raises:
            NoSuchDocument: nobody has the id, or it is not PUBLIC.
            DirectoryUnavailable: it could not be read whole, or was refused.
        """
        return _document(collection, await self._read(collection, url))

    async def _read(self, collection: Collection, url: str) -> JsonValue:
        try:
            answer = await self._client.get(url, timeout=None, follow_redirects=False)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DirectoryUnavailable(
                f"The CRUD Service could not be read ({type(error).__name__})"
            ) from error
        if answer.status_code != httpx.codes.OK:
            raise _refusal(collection, answer)
        return _parsed(collection, answer.content)


def _parsed(collection: Collection, body: bytes) -> JsonValue:
    try:
        value: JsonValue = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise _malformed(collection) from error
    return value


def _document(collection: Collection, value: JsonValue) -> Document:
    if not isinstance(value, dict) or value.get("_id") is None:
        raise _malformed(collection)
    return value


def _malformed(collection: Collection) -> DirectoryUnavailable:
    return DirectoryUnavailable(
        f"The CRUD Service gave an answer for {collection.name} that cannot be read"
    )


def _refusal(collection: Collection, answer: httpx.Response) -> DirectoryUnavailable:
    status = answer.status_code
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return DirectoryUnavailable(f"The CRUD Service answered {status} for {collection.name}")
    message = _message(answer)
    text = f"The CRUD Service refuses to read {collection.name} ({status}: {message})"
    if status == httpx.codes.NOT_FOUND:
        return NoSuchDocument(text)
    if status == httpx.codes.BAD_REQUEST and "invalid objectid" in message.lower():
        return InvalidObjectId(text)
    return DirectoryUnavailable(text)


def _message(answer: httpx.Response) -> str:
    """The reason the service gives, cut before any query: that would hold ids of users."""
    try:
        body: JsonValue = from_json(answer.content)
    except ValueError:
        return answer.reason_phrase
    if isinstance(body, dict):
        for key in ("message", "msg", "error"):
            if isinstance(text := body.get(key), str):
                cut = _QUERY.split(text, maxsplit=1)[0]
                return " ".join(cut.split())[:_MESSAGE_LENGTH] or answer.reason_phrase
    return answer.reason_phrase
