"""A tuning over two guards, and a store of live settings in memory that may fail or wait."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import trio

from carillon.access.keys import KeyRing
from carillon.actors.channel import ChannelSpec
from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits
from carillon.actors.router import Choice, Route
from carillon.api.providers import ProviderView
from carillon.messages.errors import JournalUnavailable
from carillon.messages.model import Document, JsonValue
from carillon.settings import Settings, from_document
from carillon.stores.ports import AuditEntry, AuditPage
from carillon.supervisor import Supervisor
from carillon.tuning.live import LiveTuning, Tuned
from carillon.tuning.patch import Override, limits
from tests.actors.fakes import Log, Script, ignore
from tests.settings.examples import sms

NOW = 1_700_000_000.0


@dataclass
class Memory:
    """Live settings in memory, which may fail, or wait until they are let go."""

    kept: dict[str, Document] = field(default_factory=dict)
    entries: list[AuditEntry] = field(default_factory=list)
    fails: bool = False
    gate: trio.Event | None = None

    async def overrides(self) -> Mapping[str, Document]:
        await self._work()
        return dict(self.kept)

    async def change(self, provider: str, override: Document, entry: AuditEntry) -> None:
        await self._work()
        self.kept[provider] = override
        self.entries.append(entry)

    async def record(self, entries: Sequence[AuditEntry]) -> None:
        await self._work()
        self.entries += entries

    async def audit(self, provider: str | None, cursor: str, limit: int) -> AuditPage:
        await self._work()
        return AuditPage(self.entries[::-1], None)

    async def _work(self) -> None:
        await trio.lowlevel.checkpoint()
        if self.gate is not None:
            await self.gate.wait()
        if self.fails:
            raise JournalUnavailable("The live settings cannot be written")


def configured(
    order: Sequence[JsonValue] = ("first", "second"), ttl: str | None = None, **first: JsonValue
) -> Settings:
    """Sms over two sandboxes; the keys are the first one's."""
    providers: Document = {"first": {"type": "sandbox", **first}, "second": {"type": "sandbox"}}
    channel: Document = {"providers": [*order], "timeToLive": ttl}
    return from_document(sms(providers=providers, channels={"sms": channel}), {})


class Office:
    """A tuning over two guards, and what it works with."""

    def __init__(self, settings: Settings, store: Memory) -> None:
        self.settings = settings
        self.store = store
        self.guards = {
            name: Guard(name, Script(), limits(section, Override()), ignore)
            for name, section in settings.providers.items()
        }
        chosen = settings.channels["sms"].providers
        self.route = Route([Choice(self.guards[one.name], one.weight) for one in chosen])
        self.supervisor = Supervisor([ChannelSpec("sms", self.route)], ignore, Log())
        self.keys = KeyRing(settings.access.keys)
        tuned = Tuned(self.guards, {"sms": self.route}, self.supervisor, self.keys)
        logger = logging.getLogger("tuning-test")
        self.tuning = LiveTuning(settings, tuned, store, logger, lambda: NOW)

    def limits(self, name: str = "first") -> Limits:
        return self.guards[name].limits

    def view(self, name: str = "first") -> ProviderView:
        return self.tuning.provider(name)

    def order(self) -> list[tuple[str, int | None]]:
        return [(choice.guard.name, choice.weight) for choice in self.route.choices]


def office(store: Memory | None = None, **keys: JsonValue) -> Office:
    return Office(configured(**keys), store or Memory())  # type: ignore[arg-type]  # keys of the file
