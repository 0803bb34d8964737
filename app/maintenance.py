"""What is kept and given up beside the deliveries: past calls, pauses, old rows."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Final

import trio

from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits
from carillon.app.storage import Storage
from carillon.messages.clock import LOOK, Clock
from carillon.messages.errors import JournalUnavailable
from carillon.messages.events import LimitsProposed, Observer, StoreMoved
from carillon.messages.ports.journal import Journal
from carillon.messages.ports.records import PastCalls, Pauses
from carillon.settings import Settings
from carillon.stores.errors import StoreError
from carillon.tuning.live import LiveTuning

_A_DAY: Final = 25 * 3600.0  # of a clock that may be set back in autumn
_RECENT: Final = 60.0
"""Seconds of calls that are remembered though no limit asks: one may be set."""

PROPOSAL: Final = 30.0
"""Seconds until a service has told what its account allows, or is not asked any more."""

_AGAIN: Final = 0.5
"""Seconds until a pause that could not be kept is tried to be kept again."""

GLANCE: Final = 0.5
"""Seconds between two looks whether the journal can be written."""
CALM: Final = 5.0
MOST_REASONS: Final = 10
"""Most reasons of one problem that are logged."""

PAUSE: Final = 60.0
"""Seconds between two looks for rows that are old enough."""
BREATH: Final = 0.02
"""Seconds between two parts of what is erased."""


async def remember_calls(guards: Iterable[Guard], calls: PastCalls) -> None:
    """Let the windows and quotas count what an earlier process has sent.

    Raises:
        JournalUnavailable: it cannot be read.
    """
    for guard in guards:
        since = round((time.time() - _span(guard.limits)) * 1000)
        past = await calls.calls(guard.name, since)
        now, wall = trio.current_time(), time.time()
        guard.remember([(min(now, now - (wall - at / 1000)), number) for at, number in past])


def _span(limits: Limits) -> float:
    """For how long calls count, in seconds."""
    span = max((rate.per for rate in limits.rates), default=_RECENT)
    return span if limits.quota is None else max(span, _A_DAY)


def longest_span(guards: Iterable[Guard]) -> float:
    """For how many seconds calls are kept, whatever becomes of their deliveries.

    A day at least: a quota that is set later counts what was sent before it.
    """
    return max([_A_DAY, *(_span(guard.limits) for guard in guards)])


async def restore_pauses(guards: Mapping[str, Guard], pauses: Pauses) -> None:
    """Let guards wait for what is left of pauses. Raises JournalUnavailable."""
    for name, seconds in (await pauses.left()).items():
        if name in guards:
            guards[name].pause_for(seconds)


async def propose_limits(guard: Guard, observe: Observer) -> None:
    """Tell what a provider's account allows, if its `rate` is open and its service says so."""
    with trio.move_on_after(PROPOSAL) as scope:
        proposed = await guard.proposed_rates()
    if scope.cancelled_caught:
        observe(LimitsProposed(guard.name, (), f"no answer within {PROPOSAL:g} s"))
    elif proposed is not None:
        observe(LimitsProposed(guard.name, proposed.windows, proposed.why))


async def keep_pauses(guards: Mapping[str, Guard], pauses: Pauses) -> None:
    """Make each pause durable as soon as a provider asks for it, until cancelled."""
    until: dict[str, float] = {}
    news = trio.Event()

    def note(name: str) -> None:
        until[name] = guards[name].paused_until
        news.set()

    for name, guard in guards.items():
        guard.on_pause(partial(note, name))
    while True:
        await news.wait()
        news = trio.Event()
        for name in list(until):
            ends = until.pop(name)
            try:
                with trio.CancelScope(shield=True):
                    await pauses.keep(name, max(0.0, ends - trio.current_time()))
            except JournalUnavailable:
                until.setdefault(name, ends)
        if until:
            news.set()
            await trio.sleep(_AGAIN)


async def forget_calls(guards: Iterable[Guard], calls: PastCalls, now: int) -> bool:
    """Erase calls that nothing can count any more at a time in milliseconds since 1970.

    Raises JournalUnavailable.
    """
    await calls.forget(now - round(longest_span(guards) * 1000))
    return False


async def watch_store(journal: Journal, name: str, observe: Observer) -> None:
    """Tell once that the journal cannot be written and why, and once that it can be again.

    What fails and works by turns is one trouble: it is over after `CALM` seconds of calm.
    """
    told, calm_since = set[str](), 0.0
    while True:
        await trio.sleep(GLANCE)
        why, now = journal.trouble, trio.current_time()
        if why is not None:
            calm_since = now
            if why not in told and len(told) < MOST_REASONS:
                told.add(why)
                observe(StoreMoved("troubled", name, why))
        elif told and now - calm_since >= CALM:
            told.clear()
            observe(StoreMoved("mended", name))


async def watch_clock(clock: Clock) -> None:
    """Look at the clock again and again, until cancelled."""
    while True:
        await trio.sleep(LOOK)
        with suppress(JournalUnavailable):
            await clock.look()


async def retire_for_ever(
    retire: Callable[[int], Awaitable[bool]],
    retention: float,
    is_doubted: Callable[[], bool] = lambda: False,
) -> None:
    """Erase what ended longer ago than `retention` seconds, a little at a time.

    Nothing while the clock `is_doubted`.
    """
    while True:
        if is_doubted():
            await trio.sleep(PAUSE)
            continue
        try:
            before = round((time.time() - retention) * 1000)
            pause = BREATH if await retire(before) else PAUSE
        except JournalUnavailable:
            pause = PAUSE
        await trio.sleep(pause)


async def take_up(
    storage: Storage, clock: Clock, tuning: LiveTuning, guards: Mapping[str, Guard]
) -> None:
    """Put in force what earlier processes have left. Raises StoreError."""
    try:
        await clock.look()
        await tuning.restore()
        if storage.calls is not None:
            await remember_calls(guards.values(), storage.calls)
        if storage.pauses is not None:
            await restore_pauses(guards, storage.pauses)
    except JournalUnavailable as error:
        raise StoreError(f"The store {storage.name} cannot be read: {error}") from None


def keep_house(
    nursery: trio.Nursery,
    settings: Settings,
    storage: Storage,
    guards: Mapping[str, Guard],
    clock: Clock,
    observe: Observer,
) -> None:
    """Erase what is old, and keep what must outlive this process, until the nursery ends."""
    nursery.start_soon(watch_clock, clock)
    for guard in guards.values():
        nursery.start_soon(propose_limits, guard, observe)
    for retire in storage.retire:
        nursery.start_soon(retire_for_ever, retire, settings.rows_kept, clock.is_doubted)
    if storage.calls is not None:
        forget = partial(forget_calls, guards.values(), storage.calls)
        nursery.start_soon(retire_for_ever, forget, 0.0, clock.is_doubted)
    if storage.pauses is not None:
        nursery.start_soon(keep_pauses, guards, storage.pauses)
