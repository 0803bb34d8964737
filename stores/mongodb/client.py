"""MongoDB as a store: one client whose calls run in threads, each bounded and tried again.

pymongo's synchronous client in threads, since the other one needs asyncio. A trio deadline cannot
reach into a thread; `pymongo.timeout` does. Writes are acknowledged by a majority that has them in
its journal, so an acknowledged one survives the death of a server.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from time import monotonic
from types import MappingProxyType
from typing import Final, TypeAlias, TypeVar

import pymongo
import trio
from bson.errors import BSONError
from pymongo import IndexModel, MongoClient
from pymongo.errors import (
    ConnectionFailure,
    DuplicateKeyError,
    ExecutionTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
    WTimeoutError,
)
from pymongo.synchronous.database import Database as PymongoDatabase

from carillon.messages.errors import TryLater
from carillon.messages.retry import jittered
from carillon.stores.errors import StoreError
from carillon.stores.mongodb.url import MongoUrl

T = TypeVar("T")

Stored: TypeAlias = dict[str, object]
"""A document as pymongo gives it."""
Database: TypeAlias = PymongoDatabase[Stored]
Indexes: TypeAlias = Mapping[str, Sequence[IndexModel]]
"""By the name of their collection."""

SCHEMA_VERSION: Final = 1
ABOUT: Final = "carillon"
"""The collection of what the store knows of itself."""
FILLED: Final = "filled"
"""The document in it that says from which embedded store it was filled, and whether wholly."""

THREADS: Final = 16
"""Most calls at once; the URL's `maxPoolSize` may lower it."""
START_SECONDS: Final = 10.0
INDEX_SECONDS: Final = 600.0
"""Timeout for building an index, which takes long over existing users."""
_SOCKET_SECONDS: Final = 60.0
"""For what runs outside `pymongo.timeout`, which wins: a command that reads through a cursor."""
_FAREWELL_SECONDS: Final = 1.0
_GRACE: Final = 0.5
"""Seconds after its timeout at which a call that does not end by itself is given up."""
_FIRST_DELAY: Final = 0.05
_MAX_DELAY: Final = 1.0
_UNAUTHENTICATED: Final = 18
_UNAUTHORIZED: Final = 13
_NOT_THERE: Final = frozenset({26, 27})  # a collection, an index
# Interrupted by a shutdown, no primary, too slow, and the like. pymongo makes AutoReconnect of the
# most common ones; https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml
_PASSING_CODES: Final = frozenset({6, 7, 24, 50, 64, 89, 91, 112, 133, 134, 189, 202, 262, 9001})


class MongoStore:
    """A database, and as many calls at once as its client has connections for."""

    def __init__(self, client: MongoClient[Stored], database: str) -> None:
        """`client` was made by `connect`; the caller closes it."""
        self._database: Database = client[database]
        pool = client.options.pool_options.max_pool_size
        self._limiter = trio.CapacityLimiter(min(pool or THREADS, THREADS))

    async def run(
        self, job: Callable[[Database], T], within: float, failure: type[TryLater], task: str
    ) -> T:
        """What `job` returns, run in a thread within a timeout.

        It is retried if the server is down, too slow or elects a primary, so it must be safe to run
        twice. If the caller is cancelled it may still be carried out.

        Raises:
            TryLater: of the kind of `failure`; the text says that MongoDB cannot do the task.
        """
        deadline = trio.current_time() + within
        attempt = 1
        while True:
            try:
                return await self._once(job, deadline)
            except trio.TooSlowError:
                raise failure(f"MongoDB cannot {task} (no answer in time)") from None
            except (PyMongoError, BSONError) as error:
                wait = jittered(attempt, _FIRST_DELAY, _MAX_DELAY)
                if not is_passing(error) or trio.current_time() + wait >= deadline:
                    raise failure(f"MongoDB cannot {task} ({reason(error)})") from None
            await trio.sleep(wait)
            attempt += 1

    async def _once(self, job: Callable[[Database], T], deadline: float) -> T:
        ends = monotonic() + deadline - trio.current_time()

        def bounded() -> T:
            with pymongo.timeout(max(ends - monotonic(), 0.001)):  # 0 would mean no timeout
                return job(self._database)

        with trio.fail_at(deadline + _GRACE):
            return await trio.to_thread.run_sync(
                bounded, limiter=self._limiter, abandon_on_cancel=True
            )


def connect(url: MongoUrl) -> MongoClient[Stored]:
    """A client that connects by and by; only a `mongodb+srv://` host is looked up now.

    Raises StoreError.
    """
    try:
        return _client(url)
    except (PyMongoError, ValueError, UserWarning):
        # Its text may hold parts of a password that was not escaped.
        raise StoreError(
            f"The store {url} cannot be used: STORE_URL has an option or a value that the driver "
            "does not take, or its host cannot be looked up"
        ) from None


def disconnect(client: MongoClient[Stored]) -> None:
    """Close every connection, also to a server that does not answer."""
    with pymongo.timeout(_FAREWELL_SECONDS):
        client.close()


@contextmanager
def connected(url: MongoUrl) -> Iterator[MongoClient[Stored]]:
    """A client while the body runs. Raises StoreError."""
    client = connect(url)
    try:
        yield client
    finally:
        disconnect(client)


def _client(url: MongoUrl) -> MongoClient[Stored]:
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # an option that is passed over is a mistake
        return MongoClient(
            url.text,
            appname="carillon",
            tz_aware=True,
            datetime_conversion="DATETIME_AUTO",  # a date no datetime can hold spoils no page
            unicode_decode_error_handler="replace",
            uuidRepresentation="unspecified",  # one that is none, of another length, spoils no page
            w="majority",
            journal=True,
            readPreference="primary",  # what was just written is read
            retryWrites=True,
            serverSelectionTimeoutMS=int(START_SECONDS * 1000),
            socketTimeoutMS=int(_SOCKET_SECONDS * 1000),
        )


def prepare(
    client: MongoClient[Stored],
    url: MongoUrl,
    indexes: Indexes,
    within: float = START_SECONDS,
    obsolete: Mapping[str, Sequence[str]] = MappingProxyType({}),
    *,
    filled: bool = False,
) -> None:
    """See that the store is of a schema we know, and make its indexes; those may take minutes.

    `within` bounds in seconds how long a server may take to answer at all. Indexes that are
    `obsolete`, by collection, are taken away. One that is just being filled from an embedded store
    is prepared only when `filled` says so.

    Raises:
        StoreError: it cannot be reached, refuses us, is newer than this version, or not filled.
    """
    database: Database = client[url.database]
    with _explained(url, within), pymongo.timeout(within):
        _make_schema(database)
        _refuse_newer(database, url)
        if not filled:
            _refuse_half(database, url)
    with _explained(url, INDEX_SECONDS), pymongo.timeout(INDEX_SECONDS):
        for collection, wanted in indexes.items():
            database[collection].create_indexes(list(wanted))
        for collection, names in obsolete.items():
            for name in names:
                _drop_index(database, collection, name)


def _drop_index(database: Database, collection: str, name: str) -> None:
    try:
        database[collection].drop_index(name)
    except OperationFailure as error:
        if error.code not in _NOT_THERE:
            raise


def check_schema(client: MongoClient[Stored], url: MongoUrl) -> None:
    """As `prepare`, without writing anything. Raises StoreError."""
    with _explained(url, START_SECONDS), pymongo.timeout(START_SECONDS):
        _refuse_newer(client[url.database], url)
        _refuse_half(client[url.database], url)


def _make_schema(database: Database) -> None:
    version = {"$setOnInsert": {"version": SCHEMA_VERSION}}
    with suppress(DuplicateKeyError):  # another service was as quick
        database[ABOUT].update_one({"_id": "schema"}, version, upsert=True)


def _refuse_newer(database: Database, url: MongoUrl) -> None:
    found = database[ABOUT].find_one({"_id": "schema"}) or {}
    version = found.get("version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise StoreError(
            f"The store {url} has schema {version}, made by a newer Carillon; this one knows "
            f"{SCHEMA_VERSION}"
        )


def _refuse_half(database: Database, url: MongoUrl) -> None:
    if database[ABOUT].find_one({"_id": FILLED, "state": "filling"}) is not None:
        raise StoreError(
            f"The store {url} is filled in part only: `carillon store move` goes on, said again"
        )


def unusable(url: MongoUrl, why: object) -> StoreError:
    """What to tell of a MongoDB with which no service can start."""
    return StoreError(
        f"The store {url} cannot be used: {why}; STORE_URL must name a MongoDB that answers, "
        "with a user that may write to it"
    )


@contextmanager
def _explained(url: MongoUrl, within: float) -> Iterator[None]:
    try:
        yield
    except PyMongoError as error:
        raise unusable(url, _why(error, within)) from None


def _why(error: PyMongoError, within: float) -> str:
    if error.timeout or isinstance(error, ServerSelectionTimeoutError):
        return f"no server that can be written to answered within {within:g} seconds"
    if isinstance(error, OperationFailure) and error.code == _UNAUTHENTICATED:
        return "it refuses the user or the password of its URL"
    if isinstance(error, OperationFailure) and error.code == _UNAUTHORIZED:
        return "the user of its URL may not read and write this database"
    return reason(error)


def is_passing(error: Exception) -> bool:
    """Whether the same call may succeed soon."""
    if isinstance(error, ConnectionFailure | ExecutionTimeout | WTimeoutError):
        return True
    if isinstance(error, OperationFailure) and error.code in _PASSING_CODES:
        return True
    return isinstance(error, PyMongoError) and error.has_error_label("RetryableWriteError")


def reason(error: Exception) -> str:
    """What failed, in words. Its own text is left out: it may hold values of documents."""
    if isinstance(error, ServerSelectionTimeoutError):
        return "no server answers"
    if isinstance(error, PyMongoError) and error.timeout:
        return "no answer in time"
    if isinstance(error, ConnectionFailure):
        return "the connection broke off"
    if isinstance(error, OperationFailure):
        return "the server refuses" + ("" if error.code is None else f", code {error.code}")
    return "not as BSON" if isinstance(error, BSONError) else "the driver failed"
