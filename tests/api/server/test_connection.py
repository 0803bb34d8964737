"""A connection is closed when the answer says so, however long its caller keeps its own end."""

from __future__ import annotations

from pathlib import Path

from tests.api.server.callers import everything
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
