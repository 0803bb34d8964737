"""Ids, cursors and filters that nobody should send: an error, never a bug of ours."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from tests.running import running

IDS = [
    "nobody",
    "%00",
    "%FF%FE",
    "' OR 1=1",
    "%F0%9F%92%A3",
    "..%2F..%2Fx",
    "x" * 3000,
    "%ED%A0%80",
]


def cursor(place: object) -> str:
    return urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


CURSORS = [
    "x",
    "=",
    "%00",
    "%E2%82%AC",
    "%FF",
    cursor([]),
    cursor([[]]),
    cursor({}),
    cursor([True]),
    cursor([1.5]),
    cursor([2**63]),
    cursor([-(2**63) - 1]),
    cursor([int("9" * 4000)]),
    cursor(["a"]),
    cursor([1, 2]),
    cursor(["sms", "\ud800"]),
    cursor(["sms", "a", "b"]),
    urlsafe_b64encode(b"[" * 20_000).decode(),
    urlsafe_b64encode(b"[" + b"9" * 5000 + b"]").decode(),
    urlsafe_b64encode(b"\xff\xfe").decode(),
]


@pytest.mark.parametrize("name", IDS)
async def test_an_id_that_nobody_gave_out_is_a_404(name: str, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        address = f"/dispatches/{name}"
        for answer in (
            await service.client.get(address),
            await service.client.get(f"{address}/deliveries"),
            await service.client.delete(address),
            await service.client.post(f"{address}/redrive", json={}),
        ):
            assert (answer.status_code, answer.json()["statusCode"]) == (404, "404")


LONGEST_HEAD = 16_000


async def test_a_cursor_that_nobody_gave_out_is_a_400_or_shows_nothing(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        sent = await service.send(recipients=["nobody"])
        paths = ("/dispatches", f"/dispatches/{sent.headers['Dispatch-Id']}/deliveries")
        for path in paths:
            for text in CURSORS:
                answer = await service.client.get(f"{path}?cursor={text}")
                most = {431} if len(text) > LONGEST_HEAD else {200, 400}
                assert answer.status_code in most, (path, text[:40], answer.text)
                if answer.status_code == 400:
                    assert "cursor" in answer.json()["message"]


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/dispatches", "state="),
        ("/dispatches", "state=RUNNING"),
        ("/dispatches", "limit=1001"),
        ("/dispatches", "limit=%D9%A1"),
        ("/dispatches", "limit="),
        ("deliveries", "outcome="),
        ("deliveries", "outcome=failed&outcome=lost"),
        ("deliveries", "reason="),
        ("deliveries", "channel="),
    ],
)
async def test_a_filter_that_is_none_is_a_400(path: str, query: str, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        sent = await service.send(recipients=["nobody"])
        address = f"/dispatches/{sent.headers['Dispatch-Id']}/deliveries"
        asked = address if path == "deliveries" else path
        answer = await service.client.get(f"{asked}?{query}")
    assert answer.status_code == 400
    assert answer.json()["message"].startswith(query.partition("=")[0])


@pytest.mark.parametrize("user", ["%00", "%FF", "' OR 1=1", "%ED%A0%80", "x" * 3000, ""])
async def test_a_user_id_may_be_any_text(user: str, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        sent = await service.send(recipients=["nobody"])
        address = f"/dispatches/{sent.headers['Dispatch-Id']}/deliveries"
        for name in ("userId", "provider"):
            answer = await service.client.get(f"{address}?{name}={user}")
            assert (answer.status_code, answer.json()["deliveries"]) == (200, [])
