"""Edits of a directory that is ours: one document at a time, or a whole file of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from typing import BinaryIO, Final, TypeAlias

import trio

from carillon.messages.errors import (
    BadCommand,
    CarillonError,
    Conflict,
    NotKnown,
    TryLater,
    Unprocessable,
)
from carillon.messages.json_input import LONGEST_ID
from carillon.messages.model import Document, UserFields
from carillon.messages.offload import Offload
from carillon.stores.cursors import cursor_of, place_of
from carillon.stores.imports.documents import BadLine, checked, json_documents
from carillon.stores.imports.user_ids import SeenIds, Settled, given_id, id_text, settled
from carillon.stores.ports import Collection, DocumentPage, DocumentStore, Editing, KnownUser

_MOST_TOLD: Final = 20
"""Faults that one answer tells."""
_AT_ONCE: Final = 200
"""Documents that are looked at, or written, in one step."""

Receive: TypeAlias = Callable[[], Awaitable[BinaryIO]]
Begin: TypeAlias = Callable[[], Awaitable[object]]
"""Called before anything is written; if it raises, nothing is."""
Problems: TypeAlias = Callable[[Document], Sequence[str]]


class DirectoryEditor:
    """Edits users and templates; `problems` finds all that is wrong with a template.

    A user is named by the id that callers know, or else by its `_id`.
    """

    def __init__(
        self, editing: Editing, fields: UserFields, problems: Problems, offload: Offload
    ) -> None:
        self._editing = editing
        self._fields = fields
        self._problems = problems
        self._offload = offload
        self._importing = trio.Lock()

    async def get(self, collection: Collection, name: str) -> Document:
        """A document, whatever its state.

        Raises:
            BadCommand: the name is no id.
            NotKnown: there is none.
            Conflict: several users have this id.
            DirectoryUnavailable: the store failed.
        """
        _check_name(name)

        def job(store: DocumentStore) -> Document | None:
            key = self._key(store, collection, name)
            return None if key is None else store.get(collection, key)

        found = await self._editing.run(job)
        if found is None:
            raise NotKnown(f"There is no such {collection}")
        return found

    async def put(self, collection: Collection, name: str, document: object, begin: Begin) -> bool:
        """Write a document whole; False if it replaced one. `begin` runs once it may be written.

        Raises:
            BadCommand: it is no document, or names another id.
            Unprocessable: a template has faults.
            Conflict: several users have this id, or another user has.
            DirectoryUnavailable: the store failed.
        """
        _check_name(name)
        try:
            whole = checked(_an_object(document))
            if collection == "template":
                _refuse(await self._offload.run(partial(self._problems, whole)))

            def named(store: DocumentStore) -> Document:
                found = self._named(store, collection, name, whole)
                store.check(found)
                return found

            await self._editing.run(named)
            await begin()
            return await self._editing.run(lambda store: store.put(collection, named(store)))
        except ValueError as error:
            raise BadCommand(str(error)) from None

    async def remove(self, collection: Collection, name: str, begin: Begin) -> None:
        """Take a document out. `begin` runs once it is found. Raises as `get`."""
        found = await self.get(collection, name)
        await begin()
        await self._editing.run(lambda store: store.remove(collection, str(found["_id"])))

    async def page(
        self, collection: Collection, cluster: str | None, cursor: str, limit: int
    ) -> DocumentPage:
        """At most `limit` documents from a cursor on; "" is the beginning.

        Raises:
            BadCommand: the cursor was not issued by this method.
            DirectoryUnavailable: the store failed.
        """
        after = str(place_of(cursor, [""])[0])
        page = await self._editing.run(lambda store: store.page(collection, cluster, after, limit))
        return DocumentPage(page.documents, None if page.next is None else cursor_of(page.next))

    async def import_file(
        self, collection: Collection, receive: Receive, begin: Callable[[int], Awaitable[object]]
    ) -> int:
        """Write all documents of a file that is received, or none; gives their number.

        All of them are looked at before `begin` is called with their number and the first one is
        written. A store without transactions that fails in the middle has written a part.

        Raises:
            BadCommand: a line holds no document that may be written.
            Unprocessable: a template has faults.
            TryLater: another import is under way.
            DirectoryUnavailable: the store failed.
        """
        if self._importing.locked():
            raise TryLater("Another import is under way")
        async with self._importing:
            file = await receive()
            number = await self._check(collection, file)
            try:
                parts = await self._settled(collection, file)
                await begin(number)
                await self._write(collection, parts)
            except BadLine as error:
                raise BadCommand(f"{error}; nothing was imported") from None
            return number

    async def _check(self, collection: Collection, file: BinaryIO) -> int:
        """How many documents a file holds, all of which may be written."""
        check = await self._editing.run(lambda store: store.check)
        looking = _Look(check, self._problems if collection == "template" else _no_problems)
        id_field = self._fields.id if collection == "user" else "_id"
        with closing(SeenIds(id_field)) as seen:
            rows = json_documents(file, looking.tell)
            while await self._offload.run(partial(looking.on, rows, seen)):
                pass
        if looking.faults:
            raise looking.refusal(Unprocessable if collection == "template" else BadCommand)
        return looking.number

    async def _settled(self, collection: Collection, file: BinaryIO) -> Iterator[Settled]:
        """The documents as they are written, in parts; each part is read in the store's thread.

        Raises:
            BadLine: a user takes the id of another one.
        """
        field = self._fields.id
        file.seek(0)
        if collection == "template" or field == "_id":
            return _parts(json_documents(file))
        known = await self._editing.run(lambda store: store.known(field))
        looked = settled(json_documents(file), field, known)
        while await self._editing.run(lambda _: next(looked, None)) is not None:
            pass
        file.seek(0)
        return settled(json_documents(file), field, known)

    async def _write(self, collection: Collection, parts: Iterator[Settled]) -> None:
        def stage(store: DocumentStore) -> bool:
            part = next(parts, None)
            if part is not None:
                store.stage(collection, part.documents, part.replaced)
            return part is not None

        # A caller who hangs up must not leave it half written.
        with trio.CancelScope(shield=True):
            try:
                while await self._editing.run(stage):
                    pass
                await self._editing.run(lambda store: store.finish(collection))
            finally:
                await self._editing.run(lambda store: store.abort())

    def _key(self, store: DocumentStore, collection: Collection, name: str) -> str | None:
        """The `_id` of the document that goes by a name. Raises Conflict."""
        if collection == "template" or self._fields.id == "_id":
            return name
        by_id, is_key = self._holders(store, name)
        if by_id:
            return by_id[0].key
        return name if is_key else None

    def _holders(self, store: DocumentStore, name: str) -> tuple[Sequence[KnownUser], bool]:
        """The user with this id, if there is one, and whether one has it as its `_id`."""
        found = list(store.known(self._fields.id)([name]))
        by_id = [one for one in found if one.user_id == name]
        if len(by_id) > 1:
            raise Conflict("Several users have this id; name one by its _id")
        return by_id, any(one.key == name for one in found)

    def _named(
        self, store: DocumentStore, collection: Collection, name: str, document: Document
    ) -> Document:
        """A document with the ids that it gets under a name.

        Raises:
            ValueError: it has another id.
            Conflict: the id is that of another user, or of several.
        """
        field, given = self._fields.id, given_id(document)
        if collection == "template" or field == "_id":
            _refuse_another("_id", given, name)
            return {**document, "_id": name}
        by_id, is_key = self._holders(store, name)
        user_id = id_text(document.get(field))
        if not by_id and is_key:
            _refuse_another("_id", given, name)
            if user_id is not None:
                self._refuse_taken(store, user_id, name)
            return {**document, "_id": name}
        _refuse_another(field, user_id, name)
        key = by_id[0].key if by_id else given or name
        _refuse_another("_id", given, key)
        if not by_id and store.get(collection, key) is not None:
            raise Conflict("Another user has this _id")
        return {**document, field: document.get(field) if user_id else name, "_id": key}

    def _refuse_taken(self, store: DocumentStore, user_id: str, key: str) -> None:
        others = store.known(self._fields.id)([user_id])
        if any(one.user_id == user_id and one.key != key for one in others):
            raise Conflict(f"Another user has this {self._fields.id}")


class _Look:
    """Looks at the documents of a file, and remembers what is wrong with them."""

    def __init__(self, check: Callable[[Document], None], problems: Problems) -> None:
        self.number = 0
        self.faults = 0
        self._told: list[str] = []
        self._check = check
        self._problems = problems

    def on(self, rows: Iterator[tuple[int, Document]], seen: SeenIds) -> bool:
        """Look at some more documents; False once there are none."""
        before = self.number
        try:
            for line, document in islice(rows, _AT_ONCE):
                self._look(line, document, seen)
        except BadLine as error:
            self.tell(error)
            return False
        return self.number > before

    def tell(self, error: BadLine) -> None:
        """Remember what is wrong with a line."""
        self.faults += 1
        if len(self._told) < _MOST_TOLD:
            self._told.append(str(error))

    def refusal(self, kind: type[CarillonError]) -> CarillonError:
        """The error that tells the first faults, and how many there are."""
        more = self.faults - len(self._told)
        told = "; ".join(self._told) + (f"; and {more:,} more" if more else "")
        plain = f"{_counted(self.faults, 'fault')} in the file"
        return kind(f"{told}; nothing was imported", plain)

    def _look(self, line: int, document: Document, seen: SeenIds) -> None:
        self.number += 1
        try:
            self._check(document)
            seen.add(line, document)
        except ValueError as error:
            self.tell(BadLine(line, str(error)))
        for problem in self._problems(document):
            self.tell(BadLine(line, problem))


def _parts(rows: Iterator[tuple[int, Document]]) -> Iterator[Settled]:
    while part := [document for _, document in islice(rows, _AT_ONCE)]:
        yield Settled(part, ())


def _no_problems(_: Document) -> Sequence[str]:
    return ()


def _refuse(problems: Sequence[str]) -> None:
    """Raise Unprocessable if a template has faults."""
    if problems:
        plain = f"The template has {_counted(len(problems), 'fault')}"
        raise Unprocessable(f"{plain}: {'; '.join(problems)}", plain)


def _refuse_another(field: str, given: str | None, wanted: str) -> None:
    if given not in {None, wanted}:
        raise ValueError(f"{field} must be left out, or be that of the user or template named")


def _check_name(name: str) -> None:
    if not 0 < len(name) <= LONGEST_ID:
        raise BadCommand(f"An id has 1 to {LONGEST_ID:,} characters")


def _an_object(document: object) -> Document:
    if not isinstance(document, dict):
        raise BadCommand("The body must be an object: the document")
    return {**document}


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
