"""Large dispatches that are posted while something else is measured."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial

import trio

from bench.local_http import post_dispatch


class Posted:
    """How many dispatches are under way: the callers of the others were answered."""

    def __init__(self) -> None:
        self.open = 0

    async def post(self, url: str, body: dict[str, object]) -> None:
        """Post one and wait. Raises WrongResultError when a delivery failed."""
        await trio.to_thread.run_sync(partial(post_dispatch, url, body), abandon_on_cancel=True)
        self.open -= 1


@asynccontextmanager
async def posted(url: str, *bodies: dict[str, object]) -> AsyncGenerator[Posted]:
    """Post dispatches and leave the body when all are answered; an error in one ends both."""
    dispatches = Posted()
    async with trio.open_nursery() as nursery:
        for body in bodies:
            dispatches.open += 1
            nursery.start_soon(dispatches.post, url, body)
        yield dispatches
