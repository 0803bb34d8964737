"""Look-ups of names: one a host at a time, shared by all who ask, and in nobody else's threads.

A name that hangs holds its thread for as long as the system's resolver likes, often a minute.
With a thread for each host and none of the rest of the process's it delays nobody but those who
ask for it.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from math import inf
from typing import Final, Literal, TypeAlias

import trio

FRESH_SECONDS: Final = 5.0
"""How long an answer holds: a burst of connections asks once, a moved service is soon found."""
FAILED_SECONDS: Final = 0.5
"""How long a failure holds, so that who tries again at once does not ask again at once."""
MOST_KNOWN: Final = 1000

_Host: TypeAlias = bytes | None
_Port: TypeAlias = bytes | str | int | None
_Asked: TypeAlias = tuple[_Host, _Port, int, int, int, int]
Found: TypeAlias = list[
    tuple[Literal[socket.AddressFamily.AF_INET], socket.SocketKind, int, str, tuple[str, int]]
    | tuple[
        Literal[socket.AddressFamily.AF_INET6],
        socket.SocketKind,
        int,
        str,
        tuple[str, int, int, int] | tuple[int, bytes],
    ]
]
LookUp: TypeAlias = Callable[[_Host, _Port, int, int, int, int], Found]


class Resolver(trio.abc.HostnameResolver):
    """What trio asks for every name in this process: `trio.socket.set_custom_hostname_resolver`.

    Numeric addresses never come here.
    """

    def __init__(self, look_up: LookUp = socket.getaddrinfo) -> None:
        """`look_up` is run in threads; it is the system's by default."""
        self._look_up = look_up
        self._under_way: dict[_Asked, _UnderWay] = {}
        self._known: dict[_Asked, tuple[float, Found | Exception]] = {}
        self._threads = trio.CapacityLimiter(inf)  # one a host, and hosts are configured

    async def getaddrinfo(
        self,
        host: _Host,
        port: _Port,
        family: int = 0,
        type: int = 0,  # noqa: A002 - overridden
        proto: int = 0,
        flags: int = 0,
    ) -> Found:
        """The addresses of a name. Raises OSError, of which `socket.gaierror` is one.

        Whoever gives up waiting leaves the look-up to the others and to who asks next.
        """
        number = port if isinstance(port, int) else 0  # else it is the name of a service
        asked = (host, None if number else port, family, type, proto, flags)
        until, answer = self._known.get(asked, (-inf, None))
        if answer is None or trio.current_time() >= until:
            answer = await self._shared(asked)
        else:
            await trio.lowlevel.checkpoint()
        if isinstance(answer, list):
            return _at(answer, number) if number else answer
        raise _anew(answer)

    async def getnameinfo(
        self, sockaddr: tuple[str, int] | tuple[str, int, int, int], flags: int
    ) -> tuple[str, str]:
        """The name of an address. Raises OSError."""
        return await trio.to_thread.run_sync(
            socket.getnameinfo, sockaddr, flags, abandon_on_cancel=True, limiter=self._threads
        )

    async def _shared(self, asked: _Asked) -> Found | Exception:
        under_way = self._under_way.get(asked)
        if under_way is None:
            under_way = self._under_way[asked] = _UnderWay()
            trio.lowlevel.spawn_system_task(self._ask, asked, under_way)
        await under_way.done.wait()
        return under_way.answer

    async def _ask(self, asked: _Asked, under_way: _UnderWay) -> None:
        try:
            under_way.answer = answer = await trio.to_thread.run_sync(
                self._look_up, *asked, abandon_on_cancel=True, limiter=self._threads
            )
            self._keep(asked, answer, FRESH_SECONDS)
        except Exception as error:
            under_way.answer = _named(error)
            self._keep(asked, under_way.answer, FAILED_SECONDS)
        finally:
            del self._under_way[asked]
            under_way.done.set()

    def _keep(self, asked: _Asked, answer: Found | Exception, seconds: float) -> None:
        if len(self._known) >= MOST_KNOWN:
            self._known.clear()
        self._known[asked] = (trio.current_time() + seconds, answer)


class _UnderWay:
    """A look-up, and what came of it when it is done."""

    __slots__ = ("answer", "done")

    def __init__(self) -> None:
        self.done = trio.Event()
        self.answer: Found | Exception = OSError("the look-up was stopped")


def _at(found: Found, port: int) -> Found:
    """The same addresses, with a port."""
    return [
        (family, kind, proto, name, (at[0], port, *at[2:]))  # type: ignore[misc]  # its kind stays
        for family, kind, proto, name, at in found
    ]


def _named(error: Exception) -> Exception:
    """Names the lack of descriptors, which the system's resolver calls "not found"."""
    try:
        socket.socket().close()
    except OSError as lack:
        return lack
    return error


def _anew(error: Exception) -> Exception:
    """Like the one that was raised; each who waits needs one of its own."""
    if isinstance(error, OSError | UnicodeError):
        return type(error)(*error.args)
    return OSError(errno.EAGAIN, "no name can be looked up")
