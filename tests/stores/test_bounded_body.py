"""Bodies of answers: no more than the bound of them, however they are packed."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
import trio

from carillon.stores.bounded_body import TooLarge, Undecodable, read_body

MEBIBYTE = 1 << 20


def answer(body: bytes, coding: str | None = None, part: int = 65_536) -> httpx.Response:
    async def parts() -> AsyncIterator[bytes]:
        for at in range(0, len(body), part):
            await trio.lowlevel.checkpoint()
            yield body[at : at + part]

    headers = {} if coding is None else {"content-encoding": coding}
    return httpx.Response(200, headers=headers, content=parts())


@pytest.mark.slow
@pytest.mark.parametrize("part", [1, 7, 65_536])
@pytest.mark.parametrize("size", [0, 1, 100_000])
@pytest.mark.parametrize("coding", [None, "identity", "gzip", "X-GZIP", "deflate"])
async def test_a_body_is_read_whole(coding: str | None, size: int, part: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"e"
    coded = body
    if coding in {"gzip", "X-GZIP"}:
        half = len(body) // 2
        coded = gzip.compress(body[:half]) + gzip.compress(body[half:])
    elif coding == "deflate":
        coded = zlib.compress(body)
    assert await read_body(answer(coded, coding, part), len(body)) == body
    with pytest.raises(TooLarge):
        await read_body(answer(coded, coding, part), len(body) - 1)


@pytest.mark.slow
async def test_a_bomb_is_left_alone_once_it_is_over_the_bound() -> None:
    bomb = gzip.compress(bytes(512 * MEBIBYTE), compresslevel=1)
    with pytest.raises(TooLarge):
        await read_body(answer(bomb, "gzip"), 8 * MEBIBYTE)


async def test_decoding_lets_others_go_on() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await trio.lowlevel.checkpoint()
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(others)
        packed = gzip.compress(bytes(16 * MEBIBYTE))
        assert len(await read_body(answer(packed, "gzip"), 16 * MEBIBYTE)) == 16 * MEBIBYTE
        nursery.cancel_scope.cancel()
    assert turns > 32


@pytest.mark.parametrize(
    ("body", "coding"),
    [
        (b"x", "br"),
        (b"x", "gzip, gzip"),
        (b"no gzip", "gzip"),
        (gzip.compress(b"whole", mtime=0)[:-1], "gzip"),
        (gzip.compress(b"whole", mtime=0) + b"more", "gzip"),
    ],
)
async def test_what_cannot_be_decoded_is_told(body: bytes, coding: str) -> None:
    with pytest.raises(Undecodable):
        await read_body(answer(body, coding), 100)


async def test_a_large_body_waits_once_before_more_is_kept() -> None:
    waits = 0

    async def wait() -> None:
        nonlocal waits
        waits += 1

    await read_body(answer(bytes(1000), part=100), 1000, (1000, wait))
    assert waits == 0
    await read_body(answer(bytes(1001), part=100), 2000, (1000, wait))
    assert waits == 1
    await read_body(answer(bytes(5000), part=5000), 5000, (1000, wait))
    assert waits == 2
