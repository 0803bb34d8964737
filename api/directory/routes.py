"""`/users` and `/templates`: documents one by one, in pages, and whole files of them."""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import BinaryIO, Final
from urllib.parse import unquote_to_bytes

from quart import Blueprint, Response, request

from carillon.api.access import needs
from carillon.api.answers import json_answer
from carillon.api.audit import Trail, telling_of_failure
from carillon.api.body import document_body
from carillon.api.directory.receiving import received
from carillon.api.query import asked_limit
from carillon.messages.errors import BadCommand, CarillonError, Conflict
from carillon.messages.model import Document
from carillon.stores.editing import DirectoryEditor
from carillon.stores.ports import Collection, LiveSettings

ELSEWHERE: Final = (
    "Users and templates are those of the CRUD Service (CRUD_SERVICE_NAME, CRUD_SERVICE_URL): "
    "change them there"
)
_NO_USERS: Final = frozenset({"", "import"})


@dataclass(frozen=True, slots=True)
class DirectoryParts:
    """What the routes work with; without an editor the directory is not ours.

    `prefix` is that of all routes. What cannot be audited is not done.
    """

    editor: DirectoryEditor | None
    live_settings: LiveSettings
    prefix: str


def directory_routes(collection: Collection, parts: DirectoryParts) -> Blueprint:
    """The routes of one collection, for an app to mount."""
    at = _Documents(collection, parts)
    routes = Blueprint(at.name, __name__)
    _add_reading(routes, at)
    _add_writing(routes, at)
    _add_import(routes, at)
    return routes


@dataclass(frozen=True, slots=True)
class _Documents:
    """One collection, and the parts to work on it."""

    collection: Collection
    parts: DirectoryParts

    @property
    def name(self) -> str:
        return f"{self.collection}s"

    @property
    def editor(self) -> DirectoryEditor:
        """Raises Conflict if the directory is not ours."""
        if self.parts.editor is None:
            raise Conflict(ELSEWHERE)
        return self.parts.editor

    def asked_id(self) -> str:
        """The id in the path of the request, which may hold any character. Raises BadCommand."""
        raw: bytes = request.scope["raw_path"]
        try:
            path = unquote_to_bytes(raw).decode()
        except UnicodeDecodeError:
            raise BadCommand("The id in the path is not UTF-8") from None
        return path.removeprefix(f"{self.parts.prefix}/{self.name}/")

    def trail(self, action: str, number: int, document_id: str | None = None) -> Trail:
        """The audit of a change of so many documents, which does not say of which user."""
        is_named = document_id is not None and self.collection == "template"
        what: Document = {"template": document_id} if is_named else {}
        after: Document = {self.name: number}
        return Trail(self.parts.live_settings, f"{action}-{self.collection}", what, {}, after)


def _add_reading(routes: Blueprint, at: _Documents) -> None:
    @routes.get(f"/{at.name}", provide_automatic_options=False)
    @needs("directory")
    async def listed() -> Response:
        cluster = request.args.get("cluster") if at.collection == "user" else None
        cursor, limit = request.args.get("cursor", ""), asked_limit()
        page = await at.editor.page(at.collection, cluster, cursor, limit)
        return json_answer({at.name: page.documents, "next": page.next})

    @routes.get(f"/{at.name}/<anything:_>", provide_automatic_options=False)
    @needs("directory")
    async def show(_: str) -> Response:
        return json_answer(await at.editor.get(at.collection, at.asked_id()))


def _add_writing(routes: Blueprint, at: _Documents) -> None:
    @routes.put(f"/{at.name}/<anything:_>", provide_automatic_options=False)
    @needs("directory")
    async def put(_: str) -> Response:
        named, editor = at.asked_id(), at.editor
        document = await document_body(request)
        trail = at.trail("put", 1, named)
        async with telling_of_failure(trail):
            is_new = await editor.put(at.collection, named, document, trail.begin)
        return json_answer(await editor.get(at.collection, named), 201 if is_new else 200)

    @routes.delete(f"/{at.name}/<anything:_>", provide_automatic_options=False)
    @needs("directory")
    async def remove(_: str) -> Response:
        named, editor = at.asked_id(), at.editor
        trail = at.trail("delete", 1, named)
        async with telling_of_failure(trail):
            await editor.remove(at.collection, named, trail.begin)
        response = Response(b"", 204)
        del response.headers["Content-Type"]
        del response.headers["Content-Length"]
        return response


def _add_import(routes: Blueprint, at: _Documents) -> None:
    @routes.post(f"/{at.name}/import", provide_automatic_options=False)
    @needs("directory")
    async def import_file() -> Response:
        begun: list[Trail] = []

        async def begin(number: int) -> None:
            begun.append(at.trail("import", number))
            await begun[0].begin()

        async with AsyncExitStack() as stack:

            async def receive() -> BinaryIO:
                return await stack.enter_async_context(received(request))

            try:
                number = await at.editor.import_file(at.collection, receive, begin)
            except CarillonError as error:
                for trail in begun:
                    await trail.fail(str(error))
                raise
        return json_answer({"imported": number})


def hidden_id(path: str, prefix: str) -> str:
    """A path as logs show it: who a user is stays out of them."""
    before, found, rest = path.partition(f"{prefix}/users/")
    return path if before or not found or rest in _NO_USERS else f"{found}…"
