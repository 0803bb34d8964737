"""The course of a command: parsed, sent, its saga notified, and only then answered.

A command goes on by itself even if its caller has left: a saga that gets no event stalls forever.
"""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from hashlib import sha256
from uuid import NAMESPACE_OID, uuid5

import trio

from carillon.dispatches.dispatch import Dispatch
from carillon.dispatches.service import DispatchService
from carillon.messages.clock import ago, milliseconds
from carillon.messages.errors import CarillonError, Conflict, KeyReused, TryLater
from carillon.messages.events import DispatchCrashed, Observer, SagaCommandRefused
from carillon.messages.json_digest import write_sorted
from carillon.messages.json_input import JsonText
from carillon.messages.ports.journal import IdempotencyKey
from carillon.messages.ports.records import Records, Remembered
from carillon.sagas.command import (
    Metadata,
    MetadataSchema,
    SagaCommand,
    parse_command,
    saga_key,
)
from carillon.sagas.completion import Completion
from carillon.sagas.events import Origin
from carillon.sagas.functions import SagaFunctions
from carillon.sagas.kafka_records import StreamCommand

STREAM = ":stream"
"""The caller of every command of a stream; no API key can have this id."""
_CALLER = "saga"
_ROUTE = "/saga/send#repeats"
_LOOK = 0.1
_PATIENCE = 50
"""How often a command that another replica is accepting is looked for, `_LOOK` seconds apart."""
_LONG = 30 * 86_400.0
"""Seconds for which a record of a topic is recognised when it is delivered again."""


@dataclass(frozen=True, slots=True)
class SagaRules:
    """What the configuration says about commands; durations are seconds.

    Within `repeat_window` a command with the same key, label and payload is not sent again.
    """

    schema: MetadataSchema
    functions: SagaFunctions
    respond_within: float = 25.0
    repeat_window: float | None = None


@dataclass(eq=False, slots=True)
class Work:
    """A command on its way: `decided` is set once it was accepted or refused.

    `told` is set when the saga's event was accepted or parked; None if there is no event.
    """

    caller: str = ""
    decided: trio.Event = field(default_factory=trio.Event)
    error: Exception | None = None
    dispatch_id: str | None = None
    dispatch: Dispatch | None = None
    told: trio.Event | None = None
    is_repeat: bool = False


class Sagas:
    """Takes commands over HTTP (`carry_out`) and from a stream (`take`)."""

    def __init__(
        self,
        rules: SagaRules,
        dispatcher: DispatchService,
        records: Records,
        completion: Completion,
        observe: Observer,
        nursery: trio.Nursery,
        ago: Callable[[float], int] = ago,
    ) -> None:
        """`ago` is the time from which on names that are kept for some seconds are known."""
        self._rules = rules
        self._ago = ago
        self._metadata = Metadata(rules.schema)
        self._dispatcher = dispatcher
        self._records = records
        self._completion = completion
        self._observe = observe
        self._nursery = nursery
        self._accepting: dict[tuple[str, str, str], trio.Event] = {}
        self._hurried = False
        self._waiting: set[trio.CancelScope] = set()

    def stop_waiting(self) -> None:
        """Let no caller wait any longer for events to be accepted: the service is stopping."""
        self._hurried = True
        for scope in self._waiting:
            scope.cancel()
        self._completion.stop_waiting()

    async def carry_out(
        self,
        body: object,
        named: IdempotencyKey | None = None,
        caller: str = "",
        *,
        text: JsonText | None = None,
        on_decided: Callable[[], None] = lambda: None,
    ) -> Work:
        """Carry out a caller's command, and wait until its saga was notified or the time is up.

        Never raises.

        A `named` command is recognised by that name only, whatever the repeat window. `text` is the
        body, if it is long. `on_decided` is called once the body is no longer needed.
        """
        work = Work(caller)
        self._nursery.start_soon(self._see_to, body, text, work, named, on_decided)
        patience = 0.0 if self._hurried else self._rules.respond_within
        with trio.move_on_after(patience) as scope:
            self._waiting.add(scope)
            try:
                await self._whole_way(work)
            finally:
                self._waiting.remove(scope)
        if self._completion.rules.fail_label is None or self._hurried:
            # No event would report a refusal, or not from this process: the answer must.
            await work.decided.wait()
        return work

    async def take(self, command: StreamCommand, at: int | None) -> Work:
        """Decide a command of a stream, written at a time in milliseconds since 1970.

        A command that is delivered again is found under its name: it sends nothing and adds no
        event. If this is cancelled nothing was decided.

        Raises:
            TryLater: it cannot be decided now; nothing was begun, and no event was added.
        """
        work, identity = Work(STREAM), str(uuid5(NAMESPACE_OID, command.name))
        if await self._completion.has_told(identity):
            work.is_repeat = True
            return work
        try:
            await self._begin(parse_command(command.body, command.text), work, command.name, at)
        except TryLater:
            raise
        except CarillonError as error:
            await self._refuse(command.body, work, error, identity)
        except Exception as error:
            self._observe(DispatchCrashed("", error))
            await self._refuse(command.body, work, error, identity)
        return work

    async def _whole_way(self, work: Work) -> None:
        await work.decided.wait()
        if work.dispatch is not None:
            await work.dispatch.ended.wait()
            if self._completion.event(work.dispatch) is None:
                return
        if work.told is not None:
            await work.told.wait()

    async def _see_to(
        self,
        body: object,
        text: JsonText | None,
        work: Work,
        named: IdempotencyKey | None,
        on_decided: Callable[[], None],
    ) -> None:
        try:
            command = parse_command(body, text)
            if named is None:
                await self._begin(command, work)
            else:
                await self._once(command, named, work)
        except CarillonError as error:
            await self._refuse_caller(body, work, error, named)
        except Exception as error:
            self._observe(DispatchCrashed("", error))
            await self._refuse_caller(body, work, error, named)
        work.decided.set()
        on_decided()

    async def _refuse_caller(
        self, body: object, work: Work, error: Exception, named: IdempotencyKey | None
    ) -> None:
        """Refuse a command over HTTP; the saga of a `named` one is notified once."""
        if named is None:
            await self._refuse(body, work, error)
            return
        work.error = error
        self._tell_of_refusal(body, error)
        if (key := saga_key(body)) is not None:
            name = json.dumps([named.caller, named.route, named.key, named.fingerprint])
            since = self._ago(named.expiry)
            work.told = await self._completion.refuse_named(key, error, name, since)

    async def _refuse(
        self, body: object, work: Work, error: Exception, identity: str | None = None
    ) -> None:
        work.error = error
        self._tell_of_refusal(body, error)
        if (key := saga_key(body)) is not None:
            work.told = await self._completion.refuse(key, error, identity)

    def _tell_of_refusal(self, body: object, error: Exception) -> None:
        why = error.plain if isinstance(error, CarillonError) else "An internal error"
        self._observe(SagaCommandRefused(saga_key(body), why))

    async def _begin(
        self, command: SagaCommand, work: Work, name: str = "", at: int | None = None
    ) -> None:
        """Begin a command, or answer a repeated one; `name` is that of a stream's command."""
        window = self._rules.repeat_window
        if window is None and not name:
            await self._accept(command, None, work)
            return
        same = name
        if window is not None:
            is_long = command.text is not None
            same = await self._dispatcher.offload.run_if(is_long, partial(_fingerprint, command))
        # A stream's command may have waited: the window ends when it was written, not now.
        now = milliseconds()
        since = 0 if window is None else min(at or now, now) - round(window * 1000)
        key = IdempotencyKey(_CALLER, _ROUTE, same, name or same, window or _LONG)
        async with self._alone(key):
            earlier = await self._accepted_earlier(command, key, since, work)
        if earlier is None:
            return
        if name and earlier.fingerprint == name:  # the same record, delivered again
            work.is_repeat, work.dispatch_id = True, earlier.dispatch_id
        else:
            await self._repeat(earlier.dispatch_id, work)

    async def _once(self, command: SagaCommand, named: IdempotencyKey, work: Work) -> None:
        """Begin a command, unless one came with the same name: that one is repeated."""
        since = self._ago(named.expiry)
        async with self._alone(named):
            earlier = await self._accepted_earlier(command, named, since, work)
        if earlier is not None and earlier.fingerprint != named.fingerprint:
            raise KeyReused("This Idempotency-Key came with another request before")
        if earlier is not None:
            await self._repeat(earlier.dispatch_id, work)

    async def _accepted_earlier(
        self, command: SagaCommand, key: IdempotencyKey, since: int, work: Work
    ) -> Remembered | None:
        """The first command with a key since a time; None if this one is, and is accepted now."""
        for _ in range(_PATIENCE):
            earlier = await self._records.remembered(key.caller, key.route, key.key, since)
            if earlier is not None:
                return earlier
            try:
                await self._accept(command, key, work)
            except Conflict:  # another replica is just accepting it
                await trio.sleep(_LOOK)
            else:
                return None
        raise TryLater("Another replica is just accepting this command")

    async def _accept(self, command: SagaCommand, key: IdempotencyKey | None, work: Work) -> None:
        functions = self._rules.functions
        template_id = await functions.template_id(command.whole)
        data = await functions.data(command.whole)
        read = partial(self._metadata.send_command, command, template_id, data)
        send = await self._dispatcher.offload.run_if(command.text is not None, read)
        origin = Origin(command.key, command.label).document()
        work.dispatch = await self._dispatcher.accept(send, key, origin, work.caller)
        # No await in between: the event cannot have been accepted before it is watched.
        work.dispatch_id = work.dispatch.id
        work.told = self._completion.sender.watch(work.dispatch.id)

    async def _repeat(self, dispatch_id: str, work: Work) -> None:
        """Answer and notify as the first time; a dispatch that still runs will do so by itself."""
        work.is_repeat, work.dispatch_id = True, dispatch_id
        # Watched before it is posted again: it may be accepted before `repeat` returns.
        told = self._completion.sender.watch(dispatch_id)
        work.dispatch = self._dispatcher.running(dispatch_id)
        if work.dispatch is None or work.dispatch.ended.is_set():
            is_known = await self._completion.sender.repeat(dispatch_id)
            if not is_known and work.dispatch is None:
                return  # no event was ever to be sent, or the dispatch is just being taken up
        work.told = told

    @asynccontextmanager
    async def _alone(self, key: IdempotencyKey) -> AsyncGenerator[None]:
        """Serialise lookup and acceptance of commands with the same key."""
        name = key.caller, key.route, key.key
        while (other := self._accepting.get(name)) is not None:
            await other.wait()
        mine = self._accepting[name] = trio.Event()
        try:
            yield
        finally:
            del self._accepting[name]
            mine.set()


def _fingerprint(command: SagaCommand) -> str:
    parts = [command.key, command.label, command.payload]
    digest = sha256()
    write_sorted(parts, digest.update, ", ", ": ")
    return digest.hexdigest()
