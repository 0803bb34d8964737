"""An exchange that is carried as a channel's task does it: read when its descriptor is readable."""

from __future__ import annotations

import select

import trio

from carillon.http_client.client import Exchange
from carillon.http_client.ports import Reply


class Polled(Exchange):
    """In place of one that waits for its answer in a task of its own."""

    __slots__ = ()

    async def complete(self) -> Reply:
        if not self.is_written:
            return await super().complete()
        with select.epoll() as epoll:
            self.watch(epoll)
            try:
                while (reply := await self._next(epoll)) is None:
                    pass
            except trio.Cancelled:
                if (last := self.cut()) is None:
                    raise
                return last
            finally:
                self.abandon()
        return reply

    async def _next(self, epoll: select.epoll) -> Reply | None:
        with trio.move_on_at(self.until):
            await trio.lowlevel.wait_readable(epoll.fileno())
        epoll.poll(0)
        return self.cut() if trio.current_time() >= self.until else self.read()
