"""Connections that wait for their next request, the most lately used one first."""

from __future__ import annotations

from collections import deque

import trio

from providers.http1_connection import Connection
from providers.http1_target import Origin
from providers.wire_bounds import IDLE_SECONDS


class IdleConnections:
    """A stack for each origin, so that a burst's connections grow old and go."""

    def __init__(self) -> None:
        self._stacks: dict[Origin, deque[Connection]] = {}

    def take(self, origin: Origin) -> Connection | None:
        """One that may be used at once; the stale ones on the way to it are closed."""
        stack = self._stacks.get(origin)
        if stack:
            now = trio.current_time()
            while stack:
                connection = stack.pop()
                if connection.fresh(now):
                    return connection
                connection.close()
        return None

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose exchange is over, or close it when it is half used."""
        if not connection.reusable:
            connection.close()
            return
        stack = self._stacks.get(origin)
        now = trio.current_time()
        if stack is None:
            self._forget(now)
            stack = self._stacks[origin] = deque()
        connection.idle_since = now
        stack.append(connection)
        _close_older(stack, now - IDLE_SECONDS)

    def _forget(self, now: float) -> None:
        """Origins that vary must not fill the memory."""
        for origin, stack in list(self._stacks.items()):
            _close_older(stack, now - IDLE_SECONDS)
            if not stack:
                del self._stacks[origin]

    def close(self) -> None:
        """Close all; those in use close when they are given back unfit, or at the next close."""
        for stack in self._stacks.values():
            _close_older(stack, float("inf"))


def _close_older(stack: deque[Connection], time: float) -> None:
    while stack and stack[0].idle_since < time:
        stack.popleft().close()
