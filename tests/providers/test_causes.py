"""What went wrong with a call in one word: over both wires, and as an attempt's cause."""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Iterator

import pytest
import trio

from carillon.http_client.errors import unsent_reply
from carillon.http_client.ports import NotAnswered, NotSent, Reply, Response, Wire
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    FailureKind,
    Postponed,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.providers.responses import answered, attempt
from tests.http_client.fixtures import MakeWire
from tests.neighbours.http import Answer, Fault, serve
from tests.providers.deliveries import Starts, sms


async def asked(wire: Wire, url: str) -> Reply:
    try:
        with trio.fail_after(20):
            return await wire.exchange("POST", url, {}, b"{}", Starts())
    finally:
        await wire.aclose()


def cause(reply: Reply) -> Cause | None:
    made: Attempt = attempt(reply, "sms-service", sms())
    assert not isinstance(made, Accepted | Postponed)
    return made.cause


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("disconnect", "reset"), ("reset", "reset"), ("cut-head", "reset"), ("garbage", "garbage")],
)
async def test_an_answer_that_does_not_come_has_a_kind(
    make_wire: MakeWire, fault: Fault, kind: FailureKind
) -> None:
    async with serve(Answer(fault=fault)) as server:
        reply = await asked(make_wire(), server.url)
    assert isinstance(reply, NotAnswered)
    assert cause(reply) == Cause(kind)


async def test_nobody_there_is_refused_and_no_name_is_dns(make_wire: MakeWire) -> None:
    async with serve(Answer()) as server:
        url = server.url
    assert cause(await asked(make_wire(), url)) == Cause("refused")
    assert cause(await asked(make_wire(), "http://nobody.invalid")) == Cause("dns")


async def test_a_certificate_that_is_not_accepted_is_tls(
    make_wire: MakeWire, server_tls: ssl.SSLContext
) -> None:
    async with serve(Answer(), tls=server_tls) as server:
        assert cause(await asked(make_wire(), server.url)) == Cause("tls")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError(errno.ECONNREFUSED, ""), "refused"),
        (OSError(errno.EHOSTUNREACH, ""), "refused"),
        (OSError(errno.ETIMEDOUT, ""), "timeout"),
        (OSError(errno.ECONNRESET, ""), "reset"),
        (OSError(errno.EMFILE, ""), "own-limit"),
        (OSError(errno.EADDRNOTAVAIL, ""), "own-limit"),
        (OSError(errno.EAGAIN, "no name can be looked up"), "dns"),
        (socket.gaierror(-2, ""), "dns"),
        (ssl.SSLError(1, ""), "tls"),
        (UnicodeError(), "dns"),
    ],
)
def test_what_the_system_says_has_a_kind(error: Exception, kind: FailureKind) -> None:
    assert unsent_reply(error).kind == kind


@pytest.mark.parametrize(
    ("status", "made", "kind"),
    [
        (302, Refused, "http-3xx"),
        (400, Refused, "http-4xx"),
        (401, Refused, "http-4xx"),
        (429, Unavailable, "http-4xx"),
        (503, Unavailable, "http-5xx"),
        (504, Unanswered, "http-5xx"),
        (101, Unanswered, "garbage"),
    ],
)
def test_a_status_that_is_no_success_is_a_cause(
    status: int, made: type[Refused | Unavailable | Unanswered], kind: FailureKind
) -> None:
    found = attempt(Response(status, {}, b""), "sms-service", sms())
    assert isinstance(found, made)
    assert found.cause is not None
    assert (found.cause.kind, found.cause.status) == (kind, status)


def test_a_success_has_its_status_and_no_cause() -> None:
    made = attempt(Response(202, {}, b"{}"), "sms-service", sms())
    assert isinstance(made, Accepted)
    assert made.status == 202


def test_what_is_refused_for_its_contents_says_nothing_of_the_provider() -> None:
    assert [status for status in range(400, 500) if answered(status).of_message] == [
        400,
        409,
        410,
        413,
        422,
    ]


@pytest.fixture
def port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def test_a_wire_connects_and_asks_for_nothing(make_wire: MakeWire, port: int) -> None:
    wire = make_wire()
    async with serve(Answer()) as server:
        assert await wire.reach(f"{server.url}/send") is None
        assert server.requests == []
    assert await wire.reach(f"http://127.0.0.1:{port}/send") == NotSent("connection refused")
    assert await wire.reach("http://nobody.invalid") == NotSent("host name not found")
    await wire.aclose()
