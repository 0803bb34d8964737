"""The check-up: what each neighbour answers, and each provider by what its last call showed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from math import inf
from typing import Final

import trio

from carillon.actors.provider.guard import Guard
from carillon.messages.durations import written
from carillon.messages.errors import TryLater
from carillon.messages.model import Accepted, Refused

Check = Callable[[], Awaitable[str | None]]
"""Asks a neighbour; gives what is wrong with it, or None."""

SECONDS: Final = 5.0
"""For a connection to a provider that was never called."""


def asking(check: Callable[[], Awaitable[None]]) -> Check:
    """The question in words to somebody whose `check` raises TryLater when something is wrong."""

    async def ask() -> str | None:
        try:
            await check()
        except TryLater as error:
            return str(error)
        return None

    return ask


def provider_checks(guards: Mapping[str, Guard], taken: Mapping[str, Check]) -> dict[str, Check]:
    """A check a provider, under its name; one that is called as another neighbour says what it is.

    `taken` are the others.
    """
    return {
        f"provider {name}" if name in taken else name: partial(_provider, guard)
        for name, guard in guards.items()
    }


async def _provider(guard: Guard) -> str | None:
    """What is wrong, by the last call that counts; where there was none a connection is tried.

    That a message was refused for what is in it says nothing of the provider.
    """
    last = guard.last_call
    if last is None:
        with trio.move_on_after(SECONDS):
            return await guard.reach()
        return f"no connection within {SECONDS:g} s"
    await trio.lowlevel.checkpoint()
    if isinstance(last, Accepted):
        return None
    if isinstance(last, Refused) and (last.cause is None or last.cause.of_message):
        return None
    ago = max(1, round(trio.current_time() - guard.failed_at))
    return f"{last.error} ({written(ago)} ago)"


class CheckUp:
    """Asks all of them at once. Concurrent callers share one round of questions."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._turn = trio.Lock()
        self._began = -inf
        self._found: Mapping[str, str | None] = {}

    async def __call__(self) -> Mapping[str, str | None]:
        """What is wrong with each neighbour, or None."""
        asked = trio.current_time()
        async with self._turn:
            if self._began < asked:  # else others have asked since
                began = trio.current_time()
                self._found = await self._ask()
                self._began = began
            return self._found

    async def _ask(self) -> Mapping[str, str | None]:
        found: dict[str, str | None] = dict.fromkeys(self._checks)

        async def ask(name: str, check: Check) -> None:
            found[name] = await check()

        async with trio.open_nursery() as nursery:
            for name, check in self._checks.items():
                nursery.start_soon(ask, name, check)
        return found
