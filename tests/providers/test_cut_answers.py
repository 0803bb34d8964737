"""An answer that is cut, stalls or is reset at any byte: never a hang, never an untruth."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Final, Literal

import pytest
import trio

from carillon.http_client.ports import Wire
from carillon.messages.model import (
    Accepted,
    Attempt,
    Delivery,
    Document,
    Refused,
    Unanswered,
)
from carillon.providers.config import BuildContext
from carillon.providers.ports import Provider
from carillon.providers.registry import TYPES
from carillon.settings.file.opening import read_start
from tests.http_client.fixtures import MakeWire
from tests.providers.deliveries import Starts, email, sms, voice
from tests.providers.test_kafka2firebase import FakeHandovers
from tests.providers.test_twilio import ACCOUNT

End = Literal["cut", "reset", "stall"]
TWILIO: Final[Document] = {"credentials": {"accountSid": ACCOUNT, "authToken": "t0ken"}}
VONAGE: Final[Document] = {"credentials": {"apiKey": "abcd", "apiSecret": "s3cret"}}
KALEYRA: Final[Document] = {"credentials": {"sid": "SID1", "apiKey": "key-1"}}
SES: Final[Document] = {
    "region": "eu-west-1",
    "credentials": {"accessKeyId": "AKID", "secretAccessKey": "s3cret"},
}
CASES: Final[dict[str, tuple[Document, Delivery, int, Document, bool]]] = {
    "twilio": (TWILIO, sms(), 201, {"sid": "SM1", "status": "queued"}, False),
    "twilio voice": (TWILIO, voice(), 201, {"sid": "CA1", "status": "queued"}, False),
    "twilio refuses": (TWILIO, sms(), 400, {"code": 21211, "message": "x"}, False),
    "vonage": (VONAGE, sms(), 200, {"messages": [{"message-id": "1", "status": "0"}]}, True),
    "vonage refuses": (VONAGE, sms(), 200, {"messages": [{"status": "6"}]}, True),
    "ses": (SES, email(), 200, {"MessageId": "0102-ab"}, False),
    "ses refuses": (SES, email(), 400, {"message": "no"}, False),
    "kaleyra": (KALEYRA, sms(), 202, {"id": "1"}, False),
}
"""Section, delivery, status and body of the answer; whether the body alone says what it means."""
SECONDS: Final = 0.05


def provider(name: str, section: Document, url: str, wire: Wire) -> Provider:
    config = TYPES[name].model_validate({**section, "type": name, "url": url})
    return config.build(BuildContext(name, wire, FakeHandovers(), read_start))


@asynccontextmanager
async def breaking_off(
    talk: Callable[[trio.SocketStream], Awaitable[object]], end: End
) -> AsyncIterator[str]:
    """A server that talks with every caller, and then ends as it is told."""

    async def served(stream: trio.SocketStream) -> None:
        await talk(stream)
        if end == "stall":
            await trio.sleep_forever()
        if end == "reset":
            on_with_no_time = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            stream.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, on_with_no_time)
        await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, served, [listener])
        yield f"http://127.0.0.1:{listener.socket.getsockname()[1]}"
        nursery.cancel_scope.cancel()


async def answer(stream: trio.SocketStream, answer: bytes) -> None:
    """Read a request, and answer these bytes."""
    await _request(stream)
    await stream.send_all(answer)


async def hear(stream: trio.SocketStream, size: int) -> None:
    """Read so many bytes of a request."""
    left = size
    while left:
        left -= len(await stream.receive_some(left))


async def _request(stream: trio.SocketStream) -> None:
    """Read one to its end: what is left unread when a connection is closed resets it."""
    read = b""
    while b"\r\n\r\n" not in read:
        read += bytes(await stream.receive_some())
    head, _, body = read.lower().partition(b"\r\n\r\n")
    left = int(head.partition(b"content-length:")[2].split()[0]) - len(body)
    while left > 0:
        left -= len(await stream.receive_some())


async def made(adapter: Provider, delivery: Delivery, starts: Starts, end: End) -> Attempt:
    """What a call came to; as the guard does, one that is not answered in time is cancelled."""
    with trio.move_on_after(SECONDS if end == "stall" else 20):
        return await adapter.send(delivery, starts)
    assert end == "stall", "it hangs"
    return Unanswered("no answer in time")


@pytest.mark.slow
@pytest.mark.parametrize("end", ["cut", "reset", "stall"])
@pytest.mark.parametrize("case", CASES)
async def test_an_answer_that_breaks_off_is_never_taken_for_another(
    case: str, end: End, make_wire: MakeWire
) -> None:
    section, delivery, status, document, counts_body = CASES[case]
    body = json.dumps(document).encode()
    head = f"HTTP/1.1 {status} X\r\ncontent-length: {len(body)}\r\n\r\n".encode()
    whole = head + body
    places = range(len(whole) + 1) if end == "cut" else range(0, len(whole) + 1, 7)
    for place in places:
        wire = make_wire()
        starts = Starts()
        talk = partial(answer, answer=whole[:place])
        async with breaking_off(talk, end) as url:
            adapter = provider(case.partition(" ")[0], section, url, wire)
            attempt = await made(adapter, delivery, starts, end)
            await adapter.aclose()
        assert starts.times or end == "stall"
        if place < len(head) or (counts_body and place < len(whole)):
            assert isinstance(attempt, Unanswered), (place, attempt)
        if place == len(whole) and end == "cut":
            assert isinstance(attempt, Refused if "refuses" in case else Accepted), attempt


@pytest.mark.parametrize("end", ["cut", "reset", "stall"])
@pytest.mark.parametrize("case", ["twilio", "vonage", "kaleyra", "ses"])
async def test_a_request_that_breaks_off_is_in_doubt_from_its_first_byte(
    case: str, end: End, make_wire: MakeWire
) -> None:
    section, delivery, *_ = CASES[case]
    for size in range(1, 200, 19):  # of the shortest request, in bytes
        wire = make_wire()
        starts = Starts()
        async with breaking_off(partial(hear, size=size), end) as url:
            adapter = provider(case, section, url, wire)
            attempt = await made(adapter, delivery, starts, end)
            await adapter.aclose()
        assert isinstance(attempt, Unanswered), (size, attempt)
