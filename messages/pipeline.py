"""The story of a request: validate, prepare, resolve, then render and dispatch, and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from uuid import uuid4

import trio

from messages import attachments
from messages.addresses import is_mailbox
from messages.commands import SendCommand
from messages.compose import Composer
from messages.dispatch import Dispatch
from messages.errors import BadCommand, Stopping, TooManyDispatches
from messages.events import DispatchAccepted, Observer
from messages.feed import Feed
from messages.model import Audience, Channel, MailExtras, UserFields
from messages.patience import Patience
from messages.ports import Directory, Files, Journal, Post
from messages.render import Source, Texts, plain_source, stored_source
from messages.resolve import Pages
from messages.templates import Engine


@dataclass(frozen=True, slots=True)
class Rules:
    """What the configuration says of every dispatch.

    `times_to_live` are the seconds that a message of a channel stays worth sending when its
    request does not say.
    """

    active_channels: Sequence[Channel]
    senders: Mapping[Channel, str]
    user_fields: UserFields = field(default_factory=UserFields)
    escape_everywhere: bool = False
    most_failures: int = 10_000
    open_dispatches: int = 1000
    patience: Patience = field(default_factory=Patience)
    times_to_live: Mapping[Channel, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Rooms:
    """What the pipeline works with."""

    directory: Directory
    files: Files
    journal: Journal
    post: Post
    engine: Engine
    observe: Observer


class Pipeline:
    """Takes commands and sees each accepted dispatch through, whoever still waits for it."""

    def __init__(self, rooms: Rooms, rules: Rules, nursery: trio.Nursery) -> None:
        self.rules = rules
        self._rooms = rooms
        self._nursery = nursery
        self._open = 0
        self._unsettled = 0
        self._closed = False
        self._idle = trio.Event()
        self._halted = trio.Event()

    async def accept(self, command: SendCommand) -> Dispatch:
        """Start a dispatch; when this returns it is durable and goes on by itself.

        Raises:
            BadCommand: it cannot be carried out; nothing was sent.
            TryLater: the service, or a neighbour it needs, is not up to it now; likewise.
        """
        self._admit()
        try:
            dispatch = await self._prepare(command)
        except BaseException:
            self._open -= 1
            self._unsettled -= 1
            self._settle()
            raise
        self._nursery.start_soon(self._see_through, dispatch)
        return dispatch

    def close(self) -> None:
        """Accept nothing more; what was accepted goes on."""
        self._closed = True
        self._settle()

    async def idle(self) -> None:
        """Return once it is closed and the last dispatch has ended."""
        await self._idle.wait()

    def halt(self) -> None:
        """Start no further delivery: what has not been read or posted ends `stopping`."""
        self._halted.set()

    def _admit(self) -> None:
        if self._closed:
            raise Stopping("The service is stopping")
        if self._open >= self.rules.open_dispatches:
            raise TooManyDispatches("Too many dispatches are open")
        self._open += 1
        self._unsettled += 1

    def _settle(self) -> None:
        if self._closed and not self._unsettled:
            self._idle.set()

    async def _see_through(self, dispatch: Dispatch) -> None:
        try:
            await dispatch.run()
            # Whoever was answered may come with the next one, though this end is not durable yet.
            self._open -= 1
            await dispatch.close()
        finally:
            self._unsettled -= 1
            self._settle()

    async def _prepare(self, command: SendCommand) -> Dispatch:
        rooms, rules = self._rooms, self.rules
        accepted_at = trio.current_time()
        self._check_channels(command)
        source = await self._source(command)
        texts = Texts(
            rooms.engine,
            source,
            command.channels,
            command.data,
            everywhere=rules.escape_everywhere,
        )
        mail = await self._mail(command, source)
        audience = self._audience(command, texts)
        pages = Pages(rooms.directory, audience, rules.patience)
        await pages.read_head()
        composer = Composer(str(uuid4()), texts, self._senders(command), rules.user_fields, mail)
        ends = self._ends(command, accepted_at)
        dispatch = Dispatch(
            composer.dispatch_id,
            [
                Feed(name, composer, pages, rooms.observe, self._halted, ends.get(name, inf))
                for name in command.channels
            ],
            rooms.journal,
            rooms.post,
            rooms.observe,
            rules.most_failures,
            self._halted,
            command.priority,
        )
        await dispatch.open()
        rooms.observe(DispatchAccepted(dispatch.id, command.channels))
        return dispatch

    def _ends(self, command: SendCommand, accepted_at: float) -> Mapping[Channel, float]:
        """When the deliveries of each channel expire, on trio's clock."""
        asked = command.seconds_left(datetime.now(UTC))
        lives = (
            self.rules.times_to_live if asked is None else dict.fromkeys(command.channels, asked)
        )
        return {channel: accepted_at + seconds for channel, seconds in lives.items()}

    def _check_channels(self, command: SendCommand) -> None:
        active = self.rules.active_channels
        for channel in command.channels:
            if channel not in active:
                raise BadCommand(
                    f"channels: {channel} is not active; active channels are {', '.join(active)}"
                )

    async def _source(self, command: SendCommand) -> Source:
        template_id = command.template_id
        if template_id is None:
            return plain_source(command.message_title, command.message_content)
        read = self.rules.patience.read
        return stored_source(await read(lambda: self._rooms.directory.template(template_id)))

    async def _mail(self, command: SendCommand, source: Source) -> MailExtras:
        if "email" not in command.channels:
            return MailExtras()
        wanted = attachments.references(command.email_attachments or (), source)
        return MailExtras(
            carbon_copies=_valid(command.email_carbon_copies),
            blind_carbon_copies=_valid(command.email_blind_carbon_copies),
            attachments=await attachments.fetch(self._rooms.files, wanted, self.rules.patience),
        )

    def _audience(self, command: SendCommand, texts: Texts) -> Audience:
        wanted = texts.user_fields()
        if wanted is not None:
            names = self.rules.user_fields
            wanted |= {names.id, *(names.address_of(channel) for channel in command.channels)}
        return Audience(command.recipients or (), command.clusters or (), wanted)

    def _senders(self, command: SendCommand) -> Mapping[Channel, str]:
        if command.email_sender is None:
            return self.rules.senders
        return {**self.rules.senders, "email": command.email_sender}


def _valid(addresses: Sequence[str] | None) -> Sequence[str]:
    return tuple(address for address in addresses or () if is_mailbox(address))
