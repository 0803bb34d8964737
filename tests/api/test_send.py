"""`POST /send` is answered the same whichever way it goes: each request is sent on both."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
import trio

from carillon.access.keys import draw_key
from carillon.api.server.http1 import Http1
from carillon.messages.model import Document, JsonValue
from carillon.settings import key_record
from tests.api.server.callers import caller
from tests.running import Running, running, sandbox_configuration

LONG_WAY: Final = b"X-Unknown: 1\r\n"
USERS: Final[Sequence[Document]] = [
    {"_id": "ada", "emailAddress": "ada@example.com", "phoneNumber": "+393331234567"},
    {"_id": "bob", "emailAddress": "bob+refuse@example.com"},
    {"_id": "éva", "emailAddress": "eva@example.com"},
]
SEND: Final[Document] = {
    "channels": ["email"],
    "recipients": ["ada"],
    "messageTitle": "T",
    "messageContent": "C",
}
_VARYING: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f-]{27}|(?<=date: )[^\r]+")
_PER_REQUEST: Final = {"time", "responseTime"}


def body(**changes: JsonValue) -> bytes:
    return json.dumps({**SEND, **changes}).encode()


def post(content: bytes, *headers: bytes) -> bytes:
    lines = b"".join(b"%b\r\n" % header for header in headers)
    return (
        b"POST /send HTTP/1.1\r\nHost: carillon:3000\r\nContent-Type: application/json\r\n"
        b"%bContent-Length: %d\r\n\r\n%b" % (lines, len(content), content)
    )


def the_long_way(request: bytes) -> bytes:
    """The same request with a header that only the framework takes."""
    return request.replace(b"Host:", LONG_WAY + b"Host:")


PLAIN: Final[Mapping[str, bytes]] = {
    "one recipient": post(body()),
    "several": post(body(recipients=["ada", "bob", "ada"])),
    "nobody": post(body(recipients=[])),
    "failures": post(body(recipients=["bob", "nobody", "ada"])),
    "two channels": post(body(channels=["email", "sms"], recipients=["ada", "bob"])),
    "text in UTF-8": post(json.dumps({**SEND, "recipients": ["éva"]}, ensure_ascii=False).encode()),
    "escapes": post(body(recipients=["éva", "\U0001f600"])),
    "a byte order mark": post(b"\xef\xbb\xbf" + body()),
    "a field missing": post(b'{"channels": ["email"]}'),
    "a field that is wrong": post(body(channels=["fax"])),
    "no object": post(b"[]"),
    "a template that nobody has": post(body(templateId="t")),
    "no wait": post(body(), b"Prefer: respond-async"),
    "no wait, with failures": post(body(recipients=["bob", "nobody"]), b"Prefer: respond-async"),
    "a short wait": post(body(), b"Prefer: wait=1"),
    "a key": post(body(recipients=["bob"]), b'Idempotency-Key: "a"'),
    "a key that is none": post(body(), b'Idempotency-Key: "'),
    "an empty key": post(body(), b"Idempotency-Key:"),
    "an id": post(body(), b"X-Request-Id: " + b"x" * 200),
    "a caller behind a proxy": post(
        body(),
        b"User-Agent:  curl/8 \t",
        b"X-Forwarded-For: 10.0.0.1, 10.0.0.2",
        b"x-forwarded-host: shop.example",
        b"Accept: */*",
        b"Connection: keep-alive",
    ),
}
"""What a service without keys answers on the shorter way."""
UNUSUAL: Final[Mapping[str, bytes]] = {
    "no JSON": post(b"{"),
    "no body": post(b""),
    "half a character": post(body().replace(b'"T"', b'"\xff"')),
    "a key of an object that nobody should send": post(b'{"__proto__": {}}'),
    "a long body": post(body(data={"text": "x" * 70_000})),
    "a body over the limit": post(b"[" + b" " * 2_000_000 + b"]", b"Connection: close"),
    "another type": post(body()).replace(b"application/json", b"text/plain"),
    "a charset": post(body()).replace(b"application/json", b"application/json; charset=latin1"),
    "no type": post(body()).replace(b"Content-Type", b"Accept"),
    "packed": post(body(), b"Content-Encoding: gzip"),
    "chunks": b"POST /send HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body()), body()),
    "two keys": post(body(), b"Idempotency-Key: a", b"Idempotency-Key: b"),
    "preferences in two lines": post(body(), b"Prefer: respond-async", b"Prefer: wait=0"),
    "a host that is none": post(body()).replace(b"carillon:3000", b"x..y"),
    "a host in brackets": post(body()).replace(b"carillon:3000", b"[::1]:3000"),
    "a tab in a header": post(body(), b"User-Agent: a\tb"),
    "an agent in Latin-1": post(body(), b"User-Agent: caf\xe9"),
    "a slash at the end": post(body()).replace(b"/send", b"/send/"),
    "a query": post(body()).replace(b"/send", b"/send?x=1"),
    "an escaped path": post(body()).replace(b"/send", b"/%73end"),
    "a whole address": post(body()).replace(b"/send", b"http://x/send"),
    "another method": post(body()).replace(b"POST", b"PUT"),
    "an older version": post(body()).replace(b"HTTP/1.1", b"HTTP/1.0"),
    "lines that end in LF": post(body()).replace(b"\r\n", b"\n"),
    "the last of its caller": post(body(), b"Connection: close"),
}
"""What the framework answers either way."""


@dataclass
class Ways:
    """What two callers of a service saw; `long` counts connections that the framework had."""

    service: Running
    long: int = 0

    async def answer(self, request: bytes) -> bytes:
        """What comes back on a connection of its own, but for ids and dates."""
        async with caller(self.service.url) as stream:
            await stream.send_all(request)
            return await one_answer(stream)

    async def both(self, request: bytes) -> tuple[bytes, bytes]:
        """The answers to a request on its own way, and on the long one."""
        return await self.answer(request), await self.answer(the_long_way(request))


async def one_answer(stream: trio.SocketStream) -> bytes:
    data = bytearray()
    with trio.fail_after(10):
        while part := await stream.receive_some():
            data += part
            head, end, rest = data.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", head)
            if end and length and len(rest) >= int(length[1]):
                break
    return _VARYING.sub(b"?", bytes(data))


@asynccontextmanager
async def ways(
    folder: Path, monkeypatch: pytest.MonkeyPatch, configuration: JsonValue = None, **more: str
) -> AsyncGenerator[Ways]:
    async with running(folder, configuration, users=USERS, environ=more) as service:
        found = Ways(service)

        class Counted(Http1):
            async def run(self) -> None:
                found.long += 1
                await super().run()

        monkeypatch.setattr("carillon.api.server.listener.Http1", Counted)
        yield found


def lines(service: Running) -> list[dict[str, object]]:
    """What the log says of requests, but for what differs from one to the next."""
    return [
        {
            name: _VARYING.sub(b"?", str(value).encode())
            for name, value in line.items()
            if name not in _PER_REQUEST
        }
        for line in service.log_lines
        if line["msg"] == "request completed"
    ]


@pytest.mark.parametrize("name", PLAIN)
async def test_a_plain_request_is_answered_as_the_framework_does(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ways(tmp_path, monkeypatch) as it:
        fast = await it.answer(PLAIN[name])
        assert it.long == 0
        second = PLAIN[name].replace(b'"a"', b'"b"') if b'Key: "a"' in PLAIN[name] else PLAIN[name]
        assert fast == await it.answer(the_long_way(second))
        assert it.long == 1
        short, long = lines(it.service)
        assert short == long
        metrics = (await it.service.client.get("/-/metrics")).text
    status = fast.split()[1].decode()
    counted = f'{{method="POST",route="/send",status_code="{status}"}} 2.0'
    assert f"http_request_duration_seconds_count{counted}" in metrics


@pytest.mark.parametrize("name", UNUSUAL)
async def test_whatever_is_unusual_is_judged_by_the_framework(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with ways(tmp_path, monkeypatch, limits_of_a_body(1_000_000)) as it:
        fast, long = await it.both(UNUSUAL[name])
        assert it.long == 2
        assert fast == long != b""


def limits_of_a_body(most: int) -> JsonValue:
    return sandbox_configuration(limits={"bodyBytes": most})


async def test_a_repeat_is_told_so_on_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = post(body(recipients=["bob"]), b"Idempotency-Key: a")
    async with ways(tmp_path, monkeypatch) as it:
        first = await it.answer(request)
        repeat, long = await it.both(request)
        other = post(body(), b"Idempotency-Key: a")
        refused, refused_long = await it.both(other)
        assert it.long == 2
    assert b"idempotency-replayed: true\r\n" in repeat
    assert (
        repeat
        == long
        == first.replace(b"content-type: ", b"idempotency-replayed: true\r\ncontent-type: ")
    )
    assert refused == refused_long
    assert refused.startswith(b"HTTP/1.1 422 ")
    assert len(it.service.sent) == 0  # bob's address is refused


async def test_with_keys_callers_are_known_and_others_refused_on_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = {
        "none": b"X-Request-Id: 1",
        "wrong": b"Authorization: Bearer shop.x",
        "basic": b"Authorization: Basic x",
    }
    keys = {"shop": draw_key("shop", ["send"]), "eye": draw_key("eye", ["read"])}
    shown |= {
        name: b"Authorization: Bearer " + secret.encode() for name, (secret, _) in keys.items()
    }
    kept = [key_record(key) for _, key in keys.values()]
    async with ways(tmp_path, monkeypatch, API_KEYS=json.dumps(kept)) as it:
        answers = {name: await it.both(post(body(), header)) for name, header in shown.items()}
        assert it.long == 2 * len(shown) - 1
        callers = [line.get("caller") for line in it.service.log_lines if line.get("url.path")]
    assert {name: fast.split()[1] for name, (fast, _) in answers.items()} == {
        "none": b"401",
        "wrong": b"401",
        "basic": b"401",
        "shop": b"200",
        "eye": b"403",
    }
    assert all(fast == long for fast, long in answers.values())
    assert callers.count("shop") == 2


async def test_a_service_without_room_says_so_on_both_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configuration = sandbox_configuration(limits={"openDispatches": 1}, drain="0s")
    configuration["activeChannels"] = ["email"]
    configuration["channels"] = {"email": {"providers": ["slow"]}}
    configuration["providers"] = {"slow": {"type": "sandbox", "options": {"latency": "10s"}}}
    async with ways(tmp_path, monkeypatch, configuration) as it:
        assert b" 202 " in await it.answer(post(body(), b"Prefer: respond-async"))
        fast, long = await it.both(post(body()))
        assert it.long == 1
        it.service.stop.at_once.set()
    assert fast == long
    assert fast.startswith(b"HTTP/1.1 503 \r\nretry-after: 1\r\n")


async def test_a_request_in_two_parts_is_answered_the_same_wherever_it_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = post(body(recipients=["bob"]))
    async with ways(tmp_path, monkeypatch) as it:
        whole = await it.answer(request)
        for cut in range(1, len(request)):
            async with caller(it.service.url) as stream:
                await stream.send_all(request[:cut])
                await trio.sleep(0.002)
                await stream.send_all(request[cut:])
                assert await one_answer(stream) == whole
        sent = [line for line in it.service.log_lines if line["msg"] == "request completed"]
    assert len(sent) == len(request)


async def test_head_and_body_sent_apart_go_the_shorter_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    head, end, content = post(body()).partition(b"\r\n\r\n")
    async with ways(tmp_path, monkeypatch) as it, caller(it.service.url) as stream:
        monkeypatch.setattr("carillon.api.server.fast_path.SOON", 10.0)
        for _ in range(3):
            await stream.send_all(head + end)
            await trio.sleep(0.002)
            await stream.send_all(content)
            assert (await one_answer(stream)).startswith(b"HTTP/1.1 200 ")
        assert it.long == 0


async def test_requests_that_come_together_are_answered_in_turn_on_whichever_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, failing = post(body()), post(body(recipients=["nobody"]))
    probe = b"GET /-/healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    last = post(body(), b"Connection: close")
    async with ways(tmp_path, monkeypatch) as it, caller(it.service.url) as stream:
        await stream.send_all(plain + failing + plain + probe + failing + last)
        with trio.fail_after(10):
            answers = b"".join([part async for part in stream])
        assert it.long == 1
    bodies = re.findall(rb'\r\n\r\n(\{.*?[\]"]\})', answers)
    assert [b"nobody" in one for one in bodies] == [False, True, False, False, True, False]
    assert answers.count(b"HTTP/1.1 200 ") == 6


async def test_a_prefix_stands_before_the_shorter_way_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = post(body(), b"Prefer: respond-async").replace(b"/send", b"/v1/send")
    async with ways(tmp_path, monkeypatch, SERVICE_PREFIX="/v1") as it:
        fast, long = await it.both(request)
        assert it.long == 1
        elsewhere = await it.answer(post(body()))
    assert fast == long
    assert b"location: /v1/dispatches/" in fast
    assert elsewhere.startswith(b"HTTP/1.1 404 ")
