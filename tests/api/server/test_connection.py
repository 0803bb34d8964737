"""A connection is closed when the answer says so, however long its caller keeps its own end."""

from __future__ import annotations

from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from carillon.messages.offload import SMALL
from tests.api.server.callers import caller, everything
from tests.running import running


async def test_a_refused_body_ends_the_connection(tmp_path: Path) -> None:
    head = (
        b"POST /send HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: 9\r\n\r\n"
    )
    async with running(tmp_path) as service:
        answer = await everything(service.url, head)
    assert answer.startswith(b"HTTP/1.1 415 ")
    assert b"connection: close\r\n" in answer.lower()


async def test_a_long_answer_arrives_whole_before_the_end(tmp_path: Path) -> None:
    users = [f"nobody-{number:05}" for number in range(3000)]
    async with running(tmp_path) as service:
        whole = await service.send(recipients=users)
        body = whole.request.content
        head = (
            b"POST /send HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
            b"content-type: application/json\r\ncontent-length: %d\r\n\r\n"
        )
        answer = await everything(service.url, head % len(body) + body)
    assert len(whole.content) > 200_000
    assert answer.partition(b"\r\n\r\n")[2] == whole.content


@pytest.mark.parametrize("sent", [0, 1, SMALL, 4 * SMALL])
async def test_who_announces_a_large_body_and_sends_no_more_has_no_room(
    sent: int, tmp_path: Path
) -> None:
    """Four such bodies would have all the room that there is; others would wait for a minute."""
    head = (
        b"POST /send HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"content-length: 16000000\r\n\r\n"
    )
    async with running(tmp_path) as service, AsyncExitStack() as stack:
        for _ in range(6):
            stream = await stack.enter_async_context(caller(service.url))
            await stream.send_all(head + b" " * sent)
        await trio.sleep(0.2)
        with trio.fail_after(15):
            answer = await service.send(recipients=[], data={"a": "a" * 2_000_000})
    assert answer.status_code == 200


async def test_a_large_body_that_comes_slowly_has_its_time_while_nobody_waits(
    tmp_path: Path,
) -> None:
    body = b'{"channels":["sms"],"recipients":[],"messageTitle":"","messageContent":"x"}'
    body = body.ljust(2 * SMALL)
    head = (
        b"POST /send HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    )
    async with running(tmp_path) as service, caller(service.url) as stream:
        await stream.send_all(head + body[:-5])
        await trio.sleep(2.5)
        await stream.send_all(body[-5:])
        with trio.fail_after(10):
            answer = b"".join([part async for part in stream])
    assert answer.startswith(b"HTTP/1.1 200 ")
