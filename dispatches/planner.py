"""Prepares a request before its first delivery: template, files, audience, feeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import inf
from typing import Final

import trio

from carillon.dispatches import attachments
from carillon.dispatches.channel_feed import ChannelFeed
from carillon.dispatches.compose import Composer
from carillon.dispatches.feed import Feed, Pages
from carillon.dispatches.inline import InlineFirst, InlineRecipients, inline_recipients
from carillon.dispatches.recovery import Given, PendingReader, PendingSource
from carillon.dispatches.render import (
    LastHeavy,
    ProviderPaths,
    Source,
    Texts,
    are_long,
    plain_source,
    stored_source,
)
from carillon.dispatches.snapshot import Request, parse_request
from carillon.handlebars import Engine
from carillon.messages.addresses import is_mailbox
from carillon.messages.clock import milliseconds
from carillon.messages.commands import SendCommand
from carillon.messages.errors import BadCommand
from carillon.messages.events import Observer
from carillon.messages.json_bounds import MOST_VALUES
from carillon.messages.model import Audience, Channel, Cursor, MailExtras, UserFields
from carillon.messages.offload import SMALL, Offload
from carillon.messages.ports.channel_queues import ChannelQueues
from carillon.messages.ports.directory import Directory, Files
from carillon.messages.ports.journal import Journal
from carillon.messages.ports.records import Recovery, Unfinished
from carillon.messages.ports.work_sharing import SharedQueue
from carillon.messages.retry import ReadRetry, retry_until

STORED: Final = 33_554_432
"""Bytes claimed for a stored request, whose size is not known before it is read."""


@dataclass(frozen=True, slots=True)
class DispatchPolicy:
    """What the configuration says about every dispatch.

    `times_to_live` are the seconds that a channel's messages stay worth sending if the request does
    not say. `for_providers` are the paths that templates of a channel's providers read. Some
    provider carries `both_bodies` of a mail.
    """

    active_channels: Sequence[Channel]
    senders: Mapping[Channel, str]
    user_fields: UserFields = field(default_factory=UserFields)
    escape_everywhere: bool = False
    most_failures: int = 10_000
    open_dispatches: int = 1000
    patience: ReadRetry = field(default_factory=ReadRetry)
    times_to_live: Mapping[Channel, float] = field(default_factory=dict)
    keeps_content: bool = False
    most_values: int = MOST_VALUES
    for_providers: ProviderPaths = field(default_factory=dict)
    both_bodies: bool = False


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports that dispatches work with; `offload` runs long computations."""

    directory: Directory
    files: Files
    journal: Journal
    recovery: Recovery
    post: ChannelQueues
    engine: Engine
    observe: Observer
    pool: SharedQueue | None = None
    offload: Offload = field(default_factory=Offload)


class Planner:
    """Makes the channel feeds of a request."""

    def __init__(self, ports: Ports, rules: DispatchPolicy) -> None:
        self._ports = ports
        self._rules = rules
        self._last_heavy = LastHeavy()

    async def request(self, command: SendCommand, ends: Mapping[Channel, int]) -> Request:
        """The command together with the template that it names.

        Raises:
            BadCommand: a channel is not active, an object of `to` is wrong, or the template does
                not exist.
            DirectoryUnavailable: the template could not be read.
        """
        self._check_channels(command)
        template = None
        if (template_id := command.template_id) is not None:
            read = self._rules.patience.read
            template = await read(lambda: self._ports.directory.template(template_id))
        request = Request(command, template, ends)
        return await self._with_inline(request, checks=True) if command.to else request

    async def stored_request(self, dispatch_id: str, stop: trio.Event) -> Request:
        """The request of a dispatch that another process accepted; waits for the journal.

        Raises:
            BadCommand: it cannot be read any more.
        """
        ports = self._ports

        async def read() -> str | bytes:
            return await ports.recovery.request(dispatch_id) or ""

        async with ports.offload.room.claimed(STORED):
            text = await retry_until(read, stop)
            if text is not None:
                parse = partial(parse_request, text, self._rules.most_values)
                request = await ports.offload.run_if(len(text) > SMALL, parse)
                return await self._with_inline(request) if request.command.to else request
        return await trio.sleep_forever()  # stopping: wait to be suspended

    async def begin(
        self, identity: str, request: Request, expiries: Mapping[Channel, float], stop: trio.Event
    ) -> Sequence[ChannelFeed]:
        """The feeds of a new dispatch, its first recipients read. `expiries` are on trio's clock.

        Raises:
            BadCommand: the command cannot be carried out.
            TryLater: a neighbour could not be read.
        """
        texts, source = await self._texts(request)
        mail = await self._mail(request.command, source)
        pages = self._pages(request, texts)
        await pages.read_head()
        composer = self._composer(identity, request.command, texts, mail)
        recovery = self._ports.recovery
        return [
            ChannelFeed(
                self._feed(name, composer, pages, expiries.get(name, inf), stop),
                self._left(name, composer, recovery, stop, request.inline),
            )
            for name in request.command.channels
        ]

    async def go_on(
        self,
        unfinished: Unfinished,
        request: Request,
        stop: trio.Event,
        refusal: str | None = None,
        given: Given | None = None,
    ) -> Sequence[ChannelFeed]:
        """The feeds of a dispatch that another process began; waits for what it needs.

        What cannot be rendered any more fails, delivery by delivery; with a `refusal` all of it
        fails. If deliveries are `given` only those are sent.

        Raises:
            BadCommand: a text cannot be compiled.
        """
        command = request.command
        texts, source = await self._texts(request)
        mail, refusals = MailExtras(), self._refusals(unfinished.channels, refusal)
        try:
            found = await retry_until(lambda: self._mail(command, source), stop)
            mail = found or await trio.sleep_forever()  # stopping: wait to be suspended
        except BadCommand as error:
            refusals = {"email": str(error), **refusals}
        composer = replace(self._composer(unfinished.id, command, texts, mail), refusals=refusals)
        pages = self._pages(request, texts)
        ways: list[ChannelFeed] = []
        for name in unfinished.channels:
            begin = unfinished.progress.get(name)
            feed = self._feed(name, composer, pages, _expiry(request, name), stop, begin)
            feed.is_over = given is not None
            enrolled = given or self._ports.recovery
            left = self._left(name, composer, enrolled, stop, request.inline)
            ways.append(ChannelFeed(feed, left, is_resumed=True))
        return ways

    def wreck(
        self, unfinished: Unfinished, stop: trio.Event, given: Given | None = None
    ) -> Sequence[ChannelFeed]:
        """The feeds of a dispatch that a bug keeps from going on: nothing is read or rendered."""
        ports = self._ports
        texts = Texts(ports.engine, {}, (), None)
        composer = Composer(unfinished.id, texts, {}, self._rules.user_fields, MailExtras())
        pages = Pages(ports.directory, Audience(), self._rules.patience)
        return [
            ChannelFeed(
                Feed(name, composer, pages, ports.observe, stop),
                self._left(name, composer, given or ports.recovery, stop),
                is_resumed=True,
            )
            for name in unfinished.channels
        ]

    def _refusals(self, channels: Sequence[Channel], refusal: str | None) -> Mapping[Channel, str]:
        found = dict.fromkeys(channels, refusal) if refusal is not None else {}
        for name in channels:
            if name not in self._rules.active_channels:
                found[name] = f"The {name} channel is not active any more"
        return found

    def _feed(
        self,
        name: Channel,
        composer: Composer,
        pages: Pages,
        expires_at: float,
        stop: trio.Event,
        begin: Cursor | None = None,
    ) -> Feed:
        return Feed(name, composer, pages, self._ports.observe, stop, expires_at, begin)

    def _left(
        self,
        name: Channel,
        composer: Composer,
        source: PendingSource,
        stop: trio.Event,
        inline: InlineRecipients | None = None,
    ) -> PendingReader:
        ports = self._ports
        return PendingReader(name, composer, source, ports.directory, ports.observe, stop, inline)

    async def _with_inline(self, request: Request, *, checks: bool = False) -> Request:
        fields, offload = self._rules.user_fields, self._ports.offload
        documents = request.command.to or ()
        inline = await inline_recipients(documents, fields, offload, checks=checks)
        return replace(request, inline=inline)

    def _check_channels(self, command: SendCommand) -> None:
        active = self._rules.active_channels
        for channel in command.channels:
            if channel not in active:
                raise BadCommand(
                    f"channels: {channel} is not active; active channels are {', '.join(active)}"
                )

    async def _texts(self, request: Request) -> tuple[Texts, Source]:
        command = request.command
        if request.template is not None:
            source = stored_source(request.template)
        else:
            source = plain_source(command.message_title, command.message_content)
        engine, everywhere = self._ports.engine, self._rules.escape_everywhere
        make = partial(
            Texts,
            engine,
            source,
            command.channels,
            command.data,
            everywhere=everywhere,
            for_providers=self._rules.for_providers,
            both_bodies=self._rules.both_bodies,
        )
        is_long = are_long(engine, source, command.data, everywhere=everywhere)
        return await self._ports.offload.run_if(is_long, make), source

    async def _mail(self, command: SendCommand, source: Source) -> MailExtras:
        if "email" not in command.channels:
            return MailExtras()
        wanted = attachments.references(command.email_attachments or (), source)
        copies = _valid(command.email_carbon_copies)
        blind = _valid(command.email_blind_carbon_copies)
        return MailExtras(
            carbon_copies=tuple(copies.values()),
            blind_carbon_copies=tuple(one for box, one in blind.items() if box not in copies),
            attachments=await attachments.fetch(self._ports.files, wanted, self._rules.patience),
        )

    def _pages(self, request: Request, texts: Texts) -> Pages:
        command, directory = request.command, self._ports.directory
        wanted = texts.user_fields()
        if wanted is not None:
            names = self._rules.user_fields
            wanted |= {names.id, *(names.address_of(channel) for channel in command.channels)}
        audience = Audience(command.recipients or (), command.clusters or (), wanted)
        if request.inline is not None and not request.is_read:
            directory = InlineFirst(request.inline, directory, self._ports.offload)
        return Pages(directory, audience, self._rules.patience)

    def _composer(
        self, identity: str, command: SendCommand, texts: Texts, mail: MailExtras
    ) -> Composer:
        senders = self._rules.senders
        if command.email_sender is not None:
            senders = {**senders, "email": command.email_sender}
        ports, fields = self._ports, self._rules.user_fields
        return Composer(
            identity,
            texts,
            senders,
            fields,
            mail,
            observe=ports.observe,
            offload=ports.offload,
        )


def _expiry(request: Request, channel: Channel) -> float:
    """When a delivery expires, on trio's clock; the request holds it by the wall clock."""
    end = (request.ends or {}).get(channel)
    return inf if end is None else trio.current_time() + (end - milliseconds()) / 1000


def _valid(addresses: Sequence[str] | None) -> Mapping[tuple[str, str], str]:
    """The valid addresses, each mailbox once: the case of a domain does not matter."""
    found: dict[tuple[str, str], str] = {}
    for address in addresses or ():
        if is_mailbox(address):
            local, _, domain = address.rpartition("@")
            found.setdefault((local, domain.lower()), address)
    return found
