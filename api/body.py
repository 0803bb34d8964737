"""JSON at the edge: read when it is wanted, parsed in a thread when it is long, bounded in sum."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections import deque
from collections.abc import AsyncGenerator, Generator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Final

import trio
from quart import Request, current_app, g
from quart_trio.wrappers.request import TrioBody, TrioRequest
from werkzeug.exceptions import RequestEntityTooLarge, RequestTimeout

from carillon.api.errors import UnsupportedMediaType
from carillon.dispatches.snapshot import DOCUMENTS, KEPT, LISTS
from carillon.messages.errors import TryLater
from carillon.messages.json_bounds import MOST_VALUES, Bounds
from carillon.messages.json_input import JsonText, read_json
from carillon.messages.offload import SMALL, Claim, Offload

READERS: Final = "carillon.bodies"
"""The name under which an app has its `Bodies`."""
LITTLE: Final = 262_144
"""Bytes of the body of any other request than those that send."""
FEW_VALUES: Final = 1000
"""JSON values of such a one."""
PATIENCE: Final = 30.0
"""Seconds for which a large body waits for others to be done with."""
MOST_WAITING: Final = 64
"""Large bodies that wait so. More would take the places of all connections, of probes too: what
waits is not read, so its caller can leave unnoticed."""


PACE: Final = 1.0
"""Seconds in which more of a large body must have come, while others wait for its room."""
SLOWEST: Final = 32_768
"""Bytes that must have come in that time."""
_TOO_MANY: Final = "Too many large bodies are being read"


class Body(TrioBody):
    """A request's body. More than a little of it is fetched only when somebody wants it.

    It is `begun` once more than a little has come, or all. One that is read whole holds at most
    `max_content_length` bytes.
    """

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(None, None)
        self.wanted = trio.Event()
        self.begun = trio.Event()
        self._most = inf if max_content_length is None else max_content_length
        self._is_too_long = (expected_content_length or 0) > self._most
        self._streams = False
        self._taken = trio.Event()

    @property
    def size(self) -> int:
        """How many bytes have come."""
        return len(self._data)

    def append(self, data: bytes) -> None:
        """A part has come."""
        super().append(data)
        # Before anybody wants it, it may be one of those whose parts are taken one by one.
        if len(self._data) > self._most and self.wanted.is_set() and not self._streams:
            self._must_raise = RequestEntityTooLarge()
            self.set_complete()
        if len(self._data) > SMALL:
            self.begun.set()

    def set_complete(self) -> None:
        """All has come."""
        super().set_complete()
        self.begun.set()

    async def stream(self, silence: float) -> AsyncGenerator[bytes]:
        """Its parts as they come, and no more of them before one is taken.

        Raises:
            RequestTimeout: nothing came for so many seconds.
        """
        self._streams = True
        self.wanted.set()
        while True:
            self._taken.set()
            with trio.move_on_after(silence) as scope:
                await self._has_data.wait()
            if scope.cancelled_caught:
                raise RequestTimeout
            part = bytes(self._data)
            self._data.clear()
            if self._complete.is_set():
                yield part
                return
            self._has_data.clear()
            yield part

    async def taken(self) -> None:
        """Wait until somebody takes what has come, if its parts are taken one by one."""
        if self._streams and self._data:
            self._taken = trio.Event()
            await self._taken.wait()

    def __await__(self) -> Generator[object, None, bytes]:
        """All of it, once it has come."""
        if self._is_too_long or len(self._data) > self._most:
            raise RequestEntityTooLarge
        self.wanted.set()
        whole: bytes = yield from super().__await__()
        return whole


class GatedRequest(TrioRequest):
    """A request with such a body."""

    body_class = Body


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A parsed body; `text` is what was parsed, where that is long and no part of it is kept."""

    value: object
    text: JsonText | None
    is_long: bool


@dataclass(frozen=True, slots=True)
class Bodies:
    """How an app reads bodies: `values` is the most JSON values that one may hold."""

    most_bytes: int
    offload: Offload = field(default_factory=Offload)
    values: int = MOST_VALUES
    silent: deque[trio.CancelScope] = field(default_factory=deque)
    """The waits of large bodies that have not begun to come."""

    async def read(self, request: Request, bounds: Bounds, most_bytes: int) -> JsonBody:
        """The parsed body of a request. See `json_body`."""
        length = request.content_length
        if length is not None and length > most_bytes:
            raise RequestEntityTooLarge
        expected = most_bytes if length is None else length
        until = trio.current_time() + (request.body_timeout or inf)
        if expected > SMALL:
            await self._begin(request, until)
            g.claim = await self._claimed(expected)
        data = await self._whole(request, until)
        if len(data) > most_bytes:
            raise RequestEntityTooLarge
        data = data.removeprefix(BOM_UTF8)
        if expected > SMALL:
            g.claim.shrink(len(data) if len(data) > SMALL else 0)
        is_long = len(data) > SMALL
        value = await self.offload.run_if(is_long, partial(read_json, data, bounds))
        is_whole = is_long and bounds.kept is None
        return JsonBody(value, JsonText(data) if is_whole else None, is_long)

    async def _begin(self, request: Request, until: float) -> None:
        """Wait until so much of a large body has come that it is worth room.

        Of too many that have not, the one gives way that has been silent for longest.
        """
        if not isinstance(request.body, Body) or request.body.begun.is_set():
            return
        with trio.CancelScope(deadline=until) as scope:
            self.silent.append(scope)
            if len(self.silent) > MOST_WAITING:
                self.silent.popleft().cancel()
            try:
                await request.body.begun.wait()
            finally:
                with suppress(ValueError):
                    self.silent.remove(scope)
            return
        raise RequestTimeout if trio.current_time() >= until else TryLater(_TOO_MANY)

    async def _whole(self, request: Request, until: float) -> bytes:
        """All of a body; a caller that sends nothing holds no room while others wait for theirs."""
        while True:
            size = _come(request)
            with trio.move_on_at(min(until, trio.current_time() + PACE)):
                return await request.get_data(cache=False, as_text=False, parse_form_data=False)
            is_slow = _come(request) < size + SLOWEST
            if trio.current_time() >= until or (is_slow and self.offload.room.waiting):
                raise RequestTimeout

    async def _claimed(self, size: int) -> Claim:
        room = self.offload.room
        if room.waiting < MOST_WAITING:
            with trio.move_on_after(PATIENCE):
                return await room.claim(size)
        raise TryLater(_TOO_MANY)


def _come(request: Request) -> int:
    return request.body.size if isinstance(request.body, Body) else 0


def bodies() -> Bodies:
    """How this app reads bodies."""
    found: Bodies = current_app.extensions[READERS]
    return found


async def json_body(request: Request, *, unique_keys: bool = False) -> object:
    """The parsed body of a request that needs only a short one.

    With `unique_keys` a key may stand only once in an object.

    Raises:
        UnsupportedMediaType: it is no application/json, or packed.
        BadCommand: it is not JSON, or JSON that is never valid here.
        RequestEntityTooLarge: it is longer than the configured limit.
        RequestTimeout: it did not come in time, or stood still while others waited.
        TryLater: other large bodies are in the way.
    """
    most = bodies()
    bounds = Bounds(min(most.values, FEW_VALUES), unique_keys=unique_keys)
    return (await _read(request, bounds, min(most.most_bytes, LITTLE))).value


async def command_body(request: Request) -> JsonBody:
    """The parsed body of a request with its text; raises as `json_body`."""
    return await _read(request, Bounds(bodies().values), bodies().most_bytes)


async def document_body(request: Request) -> object:
    """The parsed body of a request that holds one document; raises as `json_body`."""
    most = bodies()
    return (await _read(request, Bounds(most.values, unique_keys=True), most.most_bytes)).value


async def send_body(request: Request) -> JsonBody:
    """A parsed body in which what may be long is kept as text; raises as `json_body`."""
    return await _read(request, send_bounds(bodies().values), bodies().most_bytes)


def send_bounds(values: int) -> Bounds:
    """Of such a body, which holds at most that number of JSON values."""
    return Bounds(values, LISTS, KEPT, documents=DOCUMENTS)


def done_with_body() -> None:
    """Let others use the room that this request's body took, which is held as text by now."""
    if (claim := g.get("claim")) is not None:
        claim.release()


async def _read(request: Request, bounds: Bounds, most_bytes: int) -> JsonBody:
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    codings = request.headers.getlist("Content-Encoding")
    if any(coding.strip().lower() not in {"", "identity"} for coding in codings):
        raise UnsupportedMediaType("The body must have no Content-Encoding")
    return await bodies().read(request, bounds, most_bytes)
