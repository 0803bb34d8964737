"""One read of the CRUD Service: an answer that is whole and well formed, or an error.

Lists are piped to the socket after the 200, so a fault of the database midway only cuts the
connection (contracts 1.1, *Streaming and failure*): a cut answer is a failed read, never a short
page.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, TypeVar

import httpx
import trio

from carillon.messages.errors import DirectoryUnavailable
from carillon.messages.model import Document, JsonValue
from carillon.stores.bounded_body import TooLarge, Undecodable, read_body
from carillon.stores.crud.answer import Malformed, parsed, parsed_list
from carillon.stores.crud.query import Collection
from carillon.stores.http_errors import unanswered

PAGE_BYTES: Final = 64 * 1024 * 1024
"""What an answer holds at most, decoded."""

_REFUSAL_BYTES: Final = 64 * 1024
_UNSHARED_BYTES: Final = 1024 * 1024
"""An answer that is larger waits until no other one of that size is read or parsed."""
_THREAD_BYTES: Final = 256 * 1024
"""From here on an answer is parsed in a thread."""
_MESSAGE_LENGTH: Final = 200
T = TypeVar("T")

_QUERY: Final = re.compile(r"[?{\[]|%7B", re.IGNORECASE)


class InvalidObjectId(DirectoryUnavailable):
    """A value of the query is no ObjectId, so that the whole query was refused."""


class NoSuchDocument(DirectoryUnavailable):
    """404. For a list it means that the collection does not exist."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The documents of a page, and how many bytes the answer had."""

    documents: list[Document]
    size: int


class CrudClient:
    """Reads JSON over a shared client, which the caller closes. It never repeats a read.

    No header of a request of ours goes along (contracts 1.7).
    """

    def __init__(self, client: httpx.AsyncClient, timeout: float) -> None:
        self._client = client
        self._timeout = timeout
        self._large = trio.Lock()
        self._threads = trio.CapacityLimiter(2)

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

    async def documents(self, collection: Collection, url: str) -> Answered:
        """The documents of one page.

        Raises:
            InvalidObjectId: a value cannot be cast.
            DirectoryUnavailable: it could not be read whole, or was refused.
        """
        value, size = await self._read(collection, url, parsed_list)
        return Answered([_document(collection, item) for item in value], size)

    async def document(self, collection: Collection, url: str) -> Document:
        """One document.

        Raises:
            NoSuchDocument: no document has the id, or it is not PUBLIC.
            DirectoryUnavailable: it could not be read whole, or was refused.
        """
        value, _ = await self._read(collection, url, parsed)
        return _document(collection, value)

    async def _read(
        self, collection: Collection, url: str, parse: Callable[[bytearray], T]
    ) -> tuple[T, int]:
        turn = _Turn(self._large)
        try:
            body = await self._body(collection, url, turn)
            return await self._parsed(body, parse), len(body)
        except Malformed as error:
            raise _malformed(collection) from error
        finally:
            turn.give_back()

    async def _body(self, collection: Collection, url: str, turn: _Turn) -> bytearray:
        try:
            async with self._client.stream(
                "GET",
                url,
                headers={"Accept-Encoding": "gzip"},
                timeout=None,
                follow_redirects=False,
            ) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise await _refusal(collection, answer)
                return await read_body(answer, PAGE_BYTES, (_UNSHARED_BYTES, turn.take))
        except TooLarge:
            raise DirectoryUnavailable(
                f"The CRUD Service gave an answer for {collection.name} of more than "
                f"{PAGE_BYTES:,} bytes"
            ) from None
        except Undecodable as error:
            raise _malformed(collection) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DirectoryUnavailable(
                f"The CRUD Service could not be read ({unanswered(error)})"
            ) from error

    async def _parsed(self, body: bytearray, parse: Callable[[bytearray], T]) -> T:
        if len(body) < _THREAD_BYTES:
            return parse(body)
        return await trio.to_thread.run_sync(parse, body, limiter=self._threads)


class _Turn:
    """The turn of one large answer, which is taken once and given back once."""

    def __init__(self, lock: trio.Lock) -> None:
        self._lock = lock
        self._taken = False

    async def take(self) -> None:
        await self._lock.acquire()
        self._taken = True

    def give_back(self) -> None:
        if self._taken:
            self._lock.release()


def _document(collection: Collection, value: JsonValue) -> Document:
    if not isinstance(value, dict) or value.get("_id") is None:
        raise _malformed(collection)
    return value


def _malformed(collection: Collection) -> DirectoryUnavailable:
    return DirectoryUnavailable(
        f"The CRUD Service gave an answer for {collection.name} that cannot be read"
    )


async def _refusal(collection: Collection, answer: httpx.Response) -> DirectoryUnavailable:
    status = answer.status_code
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        return DirectoryUnavailable(f"The CRUD Service answered {status} for {collection.name}")
    message = await _message(answer)
    text = f"The CRUD Service refuses to read {collection.name} ({status}: {message})"
    if status == httpx.codes.NOT_FOUND:
        return NoSuchDocument(text)
    if status == httpx.codes.BAD_REQUEST and "invalid objectid" in message.lower():
        return InvalidObjectId(text)
    return DirectoryUnavailable(text)


async def _message(answer: httpx.Response) -> str:
    """The reason the service gives, cut before any query: that would hold ids of users."""
    try:
        body = parsed(await read_body(answer, _REFUSAL_BYTES))
    except (TooLarge, Undecodable, Malformed):
        return answer.reason_phrase
    if isinstance(body, dict):
        for key in ("message", "msg", "error"):
            if isinstance(text := body.get(key), str):
                cut = _QUERY.split(text, maxsplit=1)[0]
                return " ".join(cut.split())[:_MESSAGE_LENGTH] or answer.reason_phrase
    return answer.reason_phrase
