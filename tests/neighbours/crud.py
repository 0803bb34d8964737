"""A stand-in of our own for Mia's CRUD Service, by contracts 1.1; mongomock answers its queries.

    async with crud_service(users=[{"mail": "a@b.it"}], templates=[…]) as crud:
        CrudDirectory(client, crud.url, users=crud.users.name, …)
        crud.users.add({"_id": "…", …}, state="DRAFT")   # one document, returns its `_id`
        crud.requests, crud.queries                      # what was asked, and when
        crud.fail_next(2, 503)                           # the next two requests
        crud.cut_after(10)                               # the next list ends after ten documents
        crud.answer_next(Answer(fault="hang"))           # any fault of tests.neighbours.http
        crud.delay = 0.05                                # seconds before each answer
        crud.stop()                                      # connections are refused from here on

The real one is not to be had here. It serves lists and documents only: no count, no export, no
writes. An ObjectId is its 24 hex digits in lower case, so types are not told apart in sorting.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import unquote, urlsplit

import trio

from carillon.messages.model import Document, JsonValue
from tests.neighbours.crud_collection import BadRequest, Collection, FieldType
from tests.neighbours.http import Answer, Request, Server, json_answer, serve

LARGEST_HEAD: Final = 16_384  # bytes, Node's default


class CrudService:
    """Two collections, the faults to play, and what was asked."""

    def __init__(self, users: Collection, templates: Collection) -> None:
        self.users = users
        self.templates = templates
        self.url = ""
        self.delay = 0.0
        self.server: Server
        self._planned: list[Answer] = []
        self._cuts: list[int] = []

    @property
    def requests(self) -> list[Request]:
        """Every request that was read, in order, with the time it arrived."""
        return self.server.requests

    @property
    def queries(self) -> list[JsonValue]:
        """The `_q` of each list that was asked for, None where there was none."""
        lists = [r for r in self.requests if r.path.endswith("/")]
        return [json.loads(r.query["_q"][0]) if "_q" in r.query else None for r in lists]

    def fail_next(self, count: int = 1, status: int = 503, message: str = "not now") -> None:
        """Answer the next requests with this error, in the service's error shape."""
        self.answer_next(*[fastify_error(status, message)] * count)

    def answer_next(self, *answers: Answer) -> None:
        """Answer the next requests with these instead."""
        self._planned += answers

    def cut_after(self, documents: int) -> None:
        """Let the database fail in the next list that is answered, after so many documents."""
        self._cuts.append(documents)

    def recover(self) -> None:
        """Forget the faults that have not been played."""
        self.delay = 0.0
        self._planned.clear()
        self._cuts.clear()

    def stop(self) -> None:
        """Close the port and every connection."""
        self.server.stop()

    async def answer(self, request: Request) -> Answer:
        if self.delay:
            await trio.sleep(self.delay)
        if _head_bytes(request) > LARGEST_HEAD:
            return Answer(431)
        if self._planned:
            return self._planned.pop(0)
        for collection in (self.users, self.templates):
            path = f"/{collection.name}/"
            if request.method == "GET" and request.path == path:
                return self._list(collection, request)
            if request.method == "GET" and request.path.startswith(path):
                return _one(collection, unquote(request.path.removeprefix(path)))
        message = f"Route {request.method}:{request.target} not found"
        return fastify_error(404, message)

    def _list(self, collection: Collection, request: Request) -> Answer:
        try:
            parameters = {key: values[-1] for key, values in request.query.items()}
            documents = collection.find(parameters)
        except BadRequest as error:
            return fastify_error(400, str(error))
        except json.JSONDecodeError as error:
            return fastify_error(500, str(error))
        if not self._cuts:
            return _streamed(_json_stream(documents))
        cut = documents[: self._cuts.pop(0)]
        body = _json_stream(cut).removesuffix(b"\n]\n")
        return Answer(200, body, _JSON, fault="cut-body", framing="chunked")


_JSON: Final[Mapping[str, str]] = {"content-type": "application/json"}


def fastify_error(status: int, message: str) -> Answer:
    """An error as the CRUD Service gives it: `statusCode` is a number."""
    phrases = {400: "Bad Request", 404: "Not Found", 500: "Internal Server Error"}
    error = phrases.get(status, "Error")
    return json_answer({"statusCode": status, "error": error, "message": message}, status)


def _one(collection: Collection, document_id: str) -> Answer:
    document = collection.document(document_id)
    if document is None:
        return json_answer({"error": "not found"}, 404)
    return json_answer(document)


def _json_stream(documents: list[Document]) -> bytes:
    """A list as JSONStream frames it."""
    if not documents:
        return b"[]"
    return b"[\n" + b"\n,\n".join(json.dumps(d).encode() for d in documents) + b"\n]\n"


def _streamed(body: bytes) -> Answer:
    return Answer(200, body, _JSON, framing="chunked")


def _head_bytes(request: Request) -> int:
    headers = sum(len(name) + len(value) + len(": \r\n") for name, value in request.headers.items())
    parsed = urlsplit(request.target)
    return headers + len(request.method) + len(parsed.path) + len(parsed.query) + 16


@asynccontextmanager
async def crud_service(
    *,
    users: Iterable[Document] = (),
    templates: Iterable[Document] = (),
    string_ids: bool = False,
    fields: Mapping[str, FieldType] | None = None,
    page_maximum: int = 200,
) -> AsyncIterator[CrudService]:
    """A CRUD Service on a port of 127.0.0.1 while the block runs; its documents are PUBLIC.

    `string_ids` makes the users' `_id` a string type. `fields` declares fields of users besides
    those that the documents show and the usual ones; a query for any other is a 400.
    """
    crud = CrudService(
        Collection("users", string_ids=string_ids, fields=fields, maximum=page_maximum),
        Collection("message_templates", any_id=True),
    )
    for document in users:
        crud.users.add(document)
    for document in templates:
        crud.templates.add(document)

    async def run(task_status: trio.TaskStatus[Server]) -> None:
        async with serve(crud.answer) as server:
            task_status.started(server)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        crud.server = await nursery.start(run)
        crud.url = crud.server.url
        yield crud
        nursery.cancel_scope.cancel()
