"""Names that hang delay nobody but those who ask for them."""

from __future__ import annotations

import resource
import socket
import ssl
import threading
from collections.abc import Iterator

import pytest
import trio

from carillon.http_client.client import Http1Wire
from carillon.http_client.errors import SHORTAGE_SECONDS
from carillon.http_client.ports import NotSent, Response, no_start
from carillon.http_client.resolver import FAILED_SECONDS, FRESH_SECONDS, Found, Resolver
from tests.http_client.raw_http import answering, raw_server

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


class Names:
    """The system's resolver: knows `*.test`, hangs at `hang*.test` until the end of the test."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.over = threading.Event()

    def __call__(
        self, host: bytes | None, port: object, family: int, kind: int, proto: int, flags: int
    ) -> Found:
        name = (host or b"").decode()
        self.asked.append(name)
        if name.startswith("hang"):
            self.over.wait(60)
        if not name.endswith(".test"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 0))]


@pytest.fixture
def names() -> Iterator[Names]:
    names = Names()
    yield names
    names.over.set()


async def test_who_asks_at_once_shares_a_look_up_and_its_answer_holds_a_while(
    names: Names,
) -> None:
    resolver = Resolver(names)
    found: list[Found] = []

    async def ask(port: int) -> None:
        found.append(await resolver.getaddrinfo(b"a.test", port, type=socket.SOCK_STREAM))

    async with trio.open_nursery() as nursery:
        for port in (80, 80, 443):
            nursery.start_soon(ask, port)
    await ask(8080)
    assert names.asked == ["a.test"]
    assert sorted(one[0][4][1] for one in found) == [80, 80, 443, 8080]


async def test_an_answer_and_a_failure_grow_old(
    names: Names, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FRESH_SECONDS > FAILED_SECONDS > 0
    monkeypatch.setattr("carillon.http_client.resolver.FRESH_SECONDS", 0.05)
    monkeypatch.setattr("carillon.http_client.resolver.FAILED_SECONDS", 0.05)
    resolver = Resolver(names)
    for _ in range(2):
        for _ in range(2):
            await resolver.getaddrinfo(b"a.test", 80)
            with pytest.raises(socket.gaierror):
                await resolver.getaddrinfo(b"a.invalid", 80)
        await trio.sleep(0.1)
    assert names.asked == ["a.test", "a.invalid"] * 2


async def test_names_that_hang_take_no_threads_of_others(names: Names, tls: ssl.SSLContext) -> None:
    """A hundred of them, each asked for again and again by callers that give up."""
    trio.socket.set_custom_hostname_resolver(Resolver(names))
    wire = Http1Wire(tls)
    async with raw_server(answering(OK)) as raw, trio.open_nursery() as nursery:

        async def give_up(number: int) -> None:
            for _ in range(3):
                with trio.move_on_after(0.1):
                    await wire.exchange("POST", f"http://hang{number}.test/", {}, b"", no_start)

        for number in range(100):
            nursery.start_soon(give_up, number)
        await trio.sleep(0.05)
        with trio.fail_after(5):
            url = raw.url.replace("127.0.0.1", "quick.test")
            assert isinstance(await wire.exchange("POST", url, {}, b"", no_start), Response)
            assert await trio.to_thread.run_sync(lambda: "a thread") == "a thread"
    assert sorted(names.asked) == sorted([*(f"hang{n}.test" for n in range(100)), "quick.test"])
    await wire.aclose()


async def test_what_a_caller_gives_up_answers_the_next_one(names: Names) -> None:
    resolver = Resolver(names)
    with trio.move_on_after(0.05):
        await resolver.getaddrinfo(b"hang.test", 80)
    names.over.set()
    with trio.fail_after(5):
        await resolver.getaddrinfo(b"hang.test", 80)
    assert names.asked == ["hang.test"]


async def test_a_lack_of_threads_or_descriptors_is_an_error_of_the_look_up(
    tls: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_thread(*_: object) -> Found:
        raise RuntimeError("can't start new thread")

    with pytest.raises(OSError, match="no name can be looked up"):
        await Resolver(no_thread).getaddrinfo(b"a.test", 80)
    trio.socket.set_custom_hostname_resolver(Resolver(Names()))
    wire = Http1Wire(tls)
    await trio.to_thread.run_sync(lambda: None)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        reply = await wire.exchange("POST", "http://a.invalid/", {}, b"", no_start)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert reply == NotSent("too many open files", again_in=SHORTAGE_SECONDS)
    await wire.aclose()
