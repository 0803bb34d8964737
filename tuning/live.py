"""Live tuning: what operators set while the service runs overrides the configuration file.

A change is first made durable together with its audit entry, then put in force without an await, so
the answer to it stays true after a crash.
"""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Final

import trio

from carillon.access.keys import KeyRing, changes_of_keys
from carillon.actors.channel import Waiting
from carillon.actors.provider.guard import Guard
from carillon.actors.router import Choice, Route
from carillon.api.providers import FileStatus, ProviderView, UnknownName
from carillon.messages.errors import TryLater
from carillon.messages.model import Channel, Document
from carillon.settings import ConfigurationError, ConfigurationFile, Settings
from carillon.stores.ports import AuditEntry, LiveSettings
from carillon.supervisor import Supervisor
from carillon.tuning.patch import Override, parse_patch, usable
from carillon.tuning.plan import Plan, changes_of, changes_of_channels
from carillon.tuning.reload import at_next_start

LOOK: Final = 1.0
"""Seconds between two looks for changes made through another replica."""
ANOTHER_TRY: Final = 5.0
"""Seconds until a change of the file that could not be audited is tried again."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """What is tuned: the guards by provider, the routes by channel, and their supervisor.

    `keys` are replaced when the configuration is read again.
    """

    guards: Mapping[str, Guard]
    routes: Mapping[Channel, Route]
    supervisor: Supervisor
    keys: KeyRing = field(default_factory=KeyRing)


class LiveTuning:
    """Implements `api.providers.Tuning`. Changes are made one after the other."""

    def __init__(
        self,
        settings: Settings,
        tuned: Tuned,
        store: LiveSettings,
        logger: logging.Logger,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._started = settings
        self._warnings = settings.warnings
        self._tuned = tuned
        self._store = store
        self._logger = logger
        self._now = now
        self._plan = Plan(settings.providers, settings.channels)
        self._times_to_live = _times_to_live(self._plan)
        self._file = FileStatus(now())
        self._stored: Mapping[str, Document] | None = None
        self._is_shared = False
        self._turn = trio.Lock()

    @property
    def times_to_live(self) -> Mapping[Channel, float]:
        """For how many seconds messages are worth sending, where that ends; it follows the file."""
        return MappingProxyType(self._times_to_live)

    async def restore(self) -> None:
        """Put in force what was set before the restart; must be called before the first delivery.

        Raises:
            JournalUnavailable: the settings cannot be read.
        """
        self._put_in_force(await self._stored_plan())

    async def refresh(self) -> None:
        """Put in force what was set through another replica. Raises JournalUnavailable."""
        self._is_shared = True
        async with self._turn:  # else a change that is made here could be undone by an older read
            plan = await self._stored_plan()
            guards, now = self._tuned.guards, self._plan
            changed = [one for one in guards if plan.override(one) != now.override(one)]
            if changed:
                self._put_in_force(plan)
                self._logger.info("another replica changed %s", ", ".join(changed))

    async def _catch_up(self) -> None:
        if self._is_shared:  # what another replica set a moment ago is not to be undone
            self._put_in_force(await self._stored_plan())

    async def _stored_plan(self) -> Plan:
        stored = await self._store.overrides()
        if stored == self._stored:
            return self._plan
        overrides: dict[str, Override] = {}
        for name, override in stored.items():
            overrides[name], refused = usable(override)
            for reason in refused:
                self._logger.warning("the override of %s is not used: %s", name, reason)
        self._stored = stored
        return replace(self._plan, overrides=overrides)

    def file_status(self) -> FileStatus:
        """See the port."""
        return self._file

    def providers(self) -> Sequence[ProviderView]:
        """See the port."""
        waiting = self._tuned.supervisor.waiting()
        return [self._view(name, waiting) for name in self._plan.providers]

    def provider(self, name: str) -> ProviderView:
        """See the port."""
        self._check(name)
        return self._view(name, self._tuned.supervisor.waiting())

    def _view(self, name: str, waiting: Mapping[str, Waiting]) -> ProviderView:
        plan, guard = self._plan, self._tuned.guards[name]
        return ProviderView(
            name=name,
            type=plan.providers[name].type,
            channels=plan.channels_of(name),
            settings=plan.settings_of(name),
            limits=guard.limits,
            statistics=guard.statistics(),
            waiting=waiting.get(name, Waiting()),
        )

    async def change(self, name: str, patch: object, who: str) -> None:
        """See the port."""
        self._check(name)
        change = parse_patch(patch)
        async with self._turn:
            await self._catch_up()
            override = change.applied_to(self._plan.override(name))
            await self._override(
                name, override, (who, "change"), closes_breaker=change.closes_breaker
            )

    async def reset(self, name: str, who: str) -> None:
        """See the port."""
        self._check(name)
        async with self._turn:
            await self._catch_up()
            await self._override(name, Override(), (who, "reset"))

    async def revive(self, channel: str, who: str) -> Channel:
        """See the port."""
        supervisor = self._tuned.supervisor
        found = supervisor.status()
        name = next((each for each in found if each == channel), None)
        if name is None:
            raise UnknownName(f"No such channel is active; known here: {', '.join(found)}")
        before: Document = {"channel": name, "state": found[name].state}
        after: Document = {"channel": name, "state": "running"}
        with trio.CancelScope(shield=True):
            await self._store.record([self._entry(who, "revive", None, before, after)])
            supervisor.revive(name)
        return name

    async def follow(self, new: Settings, who: str) -> None:
        """Apply another configuration as far as a running service can, and log how far.

        Raises:
            JournalUnavailable: the change could not be audited; nothing has changed.
        """
        async with self._turn:
            plan = self._plan.following(new)
            entries = [
                self._entry(who, "reload", name, *changes_of(name, self._plan, plan))
                for name in plan.providers
            ]
            channels = changes_of_channels(self._plan, plan)
            entries.append(self._entry(who, "reload", None, *channels))
            entries.append(self._entry(who, "reload", None, *self._changes_of_keys(new)))
            changed = [entry for entry in entries if entry.after]
            with trio.CancelScope(shield=True):
                if changed:
                    await self._store.record(changed)
                self._put_in_force(plan)
            if new.access.keys:  # without any, what is believed to be locked would be open
                self._tuned.keys.replace(new.access.keys)
            self._file = FileStatus(self._now(), None, at_next_start(self._started, new))
            self._tell(new, changed, who)

    def _changes_of_keys(self, new: Settings) -> tuple[Document, Document]:
        if not new.access.keys:
            return {}, {}
        return changes_of_keys(self._tuned.keys.by_id, {key.id: key for key in new.access.keys})

    def refuse(self, reason: str) -> None:
        """Keep what is in force: the configuration file cannot be used as it is."""
        self._file = replace(self._file, error=reason)
        self._logger.error("the configuration file is refused, the old one holds: %s", reason)

    async def _override(
        self, name: str, override: Override, by: tuple[str, str], *, closes_breaker: bool = False
    ) -> None:
        plan = self._plan.overriding(name, override)
        before, after = changes_of(name, self._plan, plan)
        guard = self._tuned.guards[name]
        if closes_breaker:
            before |= {"breaker": guard.statistics().breaker}
            after |= {"breaker": "closed"}
        if not after:
            return
        entry = self._entry(*by, name, before, after)
        # Once it is durable it must be in force, whether or not the caller still listens.
        with trio.CancelScope(shield=True):
            await self._store.change(name, override.written, entry)
            self._stored = None
            self._put_in_force(plan)
            if closes_breaker:
                guard.close_breaker()
        self._logger.info("%s changed %s of %s", entry.who, ", ".join(after), name)

    def _put_in_force(self, plan: Plan) -> None:
        """Put a plan in force without an await, so that no task sees half of it."""
        guards = self._tuned.guards
        for name, guard in guards.items():
            if (limits := plan.limits(name)) != guard.limits:
                guard.apply(limits)
        for channel, route in self._tuned.routes.items():
            if (order := plan.order(channel)) != self._plan.order(channel):
                route.arrange([Choice(guards[each.name], each.weight) for each in order])
        self._times_to_live.clear()
        self._times_to_live.update(_times_to_live(plan))
        self._plan = plan

    def _entry(
        self, who: str, action: str, provider: str | None, before: Document, after: Document
    ) -> AuditEntry:
        return AuditEntry(round(self._now() * 1000), who, action, provider, before, after)

    def _check(self, name: str) -> None:
        known = self._tuned.guards
        if name not in known:
            raise UnknownName(f"No such provider is running; known here: {', '.join(known)}")

    def _tell(self, new: Settings, changed: Sequence[AuditEntry], who: str) -> None:
        told = [warning for warning in new.warnings if warning not in self._warnings]
        self._warnings = new.warnings
        found = ", ".join(_named(one, key) for one in changed for key in one.after) or "nothing"
        self._logger.info("the configuration was read again (%s); changed: %s", who, found)
        if later := self._file.at_next_start:
            told.append(f"these keys take effect at the next start: {', '.join(later)}")
        for warning in told:
            self._logger.warning(warning)


def _named(entry: AuditEntry, key: str) -> str:
    """A changed key for a log line; for an API key also whether it was added or removed."""
    if key.startswith("apiKeys."):
        if entry.before[key] is None:
            return f"{key} (let in)"
        return f"{key} (shut out)" if entry.after[key] is None else key
    return key if entry.provider is None else f"{entry.provider}.{key}"


def _times_to_live(plan: Plan) -> dict[Channel, float]:
    return {
        name: section.time_to_live
        for name, section in plan.channels.items()
        if section.time_to_live is not None
    }


async def reload(read: Callable[[], Awaitable[Settings]], tuning: LiveTuning, who: str) -> None:
    """Read the configuration file again; a bad one is refused and the old one holds."""
    while True:
        try:
            return await tuning.follow(await read(), who)
        except ConfigurationError as error:
            return tuning.refuse(str(error))
        except TryLater as error:
            tuning.refuse(str(error))
        await trio.sleep(ANOTHER_TRY)


async def follow_file(file: ConfigurationFile, tuning: LiveTuning) -> None:
    """Read the configuration file again whenever it changes, until cancelled."""
    while True:
        await file.changed()
        await reload(file.read, tuning, "configuration file")


async def follow_store(tuning: LiveTuning) -> None:
    """Put in force what is set through other replicas, until cancelled."""
    while True:
        with suppress(TryLater):
            await tuning.refresh()
        await trio.sleep(LOOK)


async def on_hangup(*actions: Callable[[], Awaitable[None]]) -> None:
    """Run these one after the other at each SIGHUP, until cancelled."""
    with trio.open_signal_receiver(signal.SIGHUP) as signals:
        async for _ in signals:
            for action in actions:
                await action()
