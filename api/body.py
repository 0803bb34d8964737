"""JSON at the edge: read when it is wanted, parsed in a thread when it is long, bounded in sum."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import trio
from quart import Request, current_app, g
from quart_trio.wrappers.request import TrioBody, TrioRequest
from werkzeug.exceptions import RequestEntityTooLarge

from carillon.api.errors import UnsupportedMediaType
from carillon.dispatches.snapshot import KEPT, LISTS
from carillon.messages.errors import TryLater
from carillon.messages.json_input import MOST_VALUES, Bounds, JsonText, read_json
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
waits is not read, so that nobody notices whether its caller is still there."""


class Body(TrioBody):
    """A request's body. More than a little of it is fetched only when somebody wants it."""

    def __init__(self, expected_content_length: int | None, max_content_length: int | None) -> None:
        super().__init__(expected_content_length, max_content_length)
        self.wanted = trio.Event()

    def __await__(self) -> Generator[object, None, bytes]:
        """All of it, once it has come."""
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

    async def read(self, request: Request, bounds: Bounds, most_bytes: int) -> JsonBody:
        """The parsed body of a request. See `json_body`."""
        length = request.content_length
        if length is not None and length > most_bytes:
            raise RequestEntityTooLarge
        expected = most_bytes if length is None else length
        if expected > SMALL:
            g.claim = await self._claimed(expected)
        data = await request.get_data(cache=False, as_text=False, parse_form_data=False)
        if len(data) > most_bytes:
            raise RequestEntityTooLarge
        data = data.removeprefix(BOM_UTF8)
        if expected > SMALL:
            g.claim.shrink(len(data) if len(data) > SMALL else 0)
        is_long = len(data) > SMALL
        value = await self.offload.run_if(is_long, partial(read_json, data, bounds))
        is_whole = is_long and bounds.kept is None
        return JsonBody(value, JsonText(data) if is_whole else None, is_long)

    async def _claimed(self, size: int) -> Claim:
        room = self.offload.room
        if room.waiting < MOST_WAITING:
            with trio.move_on_after(PATIENCE):
                return await room.claim(size)
        raise TryLater("Too many large bodies are being read")


def bodies() -> Bodies:
    """How this app reads bodies."""
    found: Bodies = current_app.extensions[READERS]
    return found


async def json_body(request: Request, *, unique_keys: bool = False) -> object:
    """The parsed body of a request that needs only a short one.

    With `unique_keys` a key may stand only once in an object.

    Raises:
        UnsupportedMediaType: it is no application/json, or packed.
        BadCommand: it is not JSON, or JSON that nobody should send.
        RequestEntityTooLarge: it is longer than the configured limit.
        TryLater: other large bodies are in the way.
    """
    most = bodies()
    bounds = Bounds(min(most.values, FEW_VALUES), unique_keys=unique_keys)
    return (await _read(request, bounds, min(most.most_bytes, LITTLE))).value


async def command_body(request: Request) -> JsonBody:
    """The parsed body of a request with its text; raises as `json_body`."""
    return await _read(request, Bounds(bodies().values), bodies().most_bytes)


async def send_body(request: Request) -> JsonBody:
    """A parsed body in which what may be long is kept as text; raises as `json_body`."""
    return await _read(request, Bounds(bodies().values, LISTS, KEPT), bodies().most_bytes)


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
