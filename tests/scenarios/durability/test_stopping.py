"""SIGTERM drains: requests in flight are answered, the rest goes on at the next start."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import trio

from carillon.messages.model import Document, JsonValue
from tests.process import SERVE, process
from tests.running import running, sandbox_configuration

USERS: list[Document] = [
    {"_id": f"u{number}", "emailAddress": f"u{number}@x.test"} for number in range(40)
]
NAMES = [str(user["_id"]) for user in USERS]
MESSAGE = {"channels": ["email"], "messageTitle": "T", "messageContent": "C"}


def configuration(latency: str, **changes: JsonValue) -> Document:
    whole = sandbox_configuration(activeChannels=["email"], **changes)
    whole["channels"] = {"email": {"providers": ["email-sandbox"]}}
    whole["providers"] = {"email-sandbox": {"type": "sandbox", "options": {"latency": latency}}}
    return whole


async def counts_at_the_end(client: httpx.AsyncClient, address: str) -> dict[str, int]:
    with trio.fail_after(10):
        while True:
            dispatch = (await client.get(address)).json()
            if dispatch["state"] != "running":
                counts: dict[str, int] = dispatch["counts"]
                return counts
            await trio.sleep(0.02)


async def test_a_request_in_flight_is_answered_and_the_exit_code_is_0(tmp_path: Path) -> None:
    async with process(tmp_path, configuration("500ms"), USERS) as (it, url):
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:

            async def terminate_soon() -> None:
                await trio.sleep(0.25)
                it.send_signal(signal.SIGTERM)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(terminate_soon)
                answer = await client.post("/send", json={**MESSAGE, "recipients": NAMES})
        with trio.fail_after(10):
            assert await it.wait() == 0
    assert answer.json() == {"failures": []}


async def test_what_has_not_started_when_the_drain_ends_goes_on_at_the_next_start(
    tmp_path: Path,
) -> None:
    document = configuration("30s", drain="300ms")
    async with process(tmp_path, document, USERS) as (it, url):
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:

            async def terminate_soon() -> None:
                await trio.sleep(0.25)
                it.send_signal(signal.SIGTERM)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(terminate_soon)
                answer = await client.post("/send", json={**MESSAGE, "recipients": NAMES})
        with trio.fail_after(10):
            assert await it.wait() == 0
    errors = [one["error"] for one in answer.json()["failures"]]
    assert len(errors) == 20  # those that were with the provider
    assert all("unknown" in error for error in errors)
    assert answer.headers["Deliveries-Pending"] == "20"
    async with process(tmp_path, configuration("0ms")) as (it, url):
        async with httpx.AsyncClient(base_url=url) as client:
            counts = await counts_at_the_end(client, answer.headers["Location"])
    assert (counts["sent"], counts["in-doubt"], counts["failed"]) == (20, 20, 0)


async def test_it_serves_on_until_the_wait_is_over_and_a_second_signal_ends_it(
    tmp_path: Path,
) -> None:
    document = configuration("0ms")
    async with process(tmp_path, document, USERS, WAIT_BEFORE_SERVER_CLOSE_SEC="60") as (it, url):
        async with httpx.AsyncClient(base_url=url, timeout=20) as client:
            assert (await client.get("/-/ready")).status_code == 200
            it.send_signal(signal.SIGTERM)
            with trio.fail_after(5):
                while (await client.get("/-/ready")).status_code != 503:
                    await trio.sleep(0.02)
            answer = await client.post("/send", json={**MESSAGE, "recipients": NAMES})
            assert answer.json() == {"failures": []}
            it.send_signal(signal.SIGTERM)
        with trio.fail_after(10):
            assert await it.wait() == 0


PAGE = b"GET /documentation/json HTTP/1.1\r\nHost: x\r\n\r\n"


@asynccontextmanager
async def caller_who_never_reads(url: str) -> AsyncGenerator[None]:
    """It has asked for more than all buffers on the way hold."""
    at = urlsplit(url)
    with trio.socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await caller.connect((at.hostname or "", at.port or 0))
        with trio.move_on_after(1):
            await trio.SocketStream(caller).send_all(PAGE * 1000)
        yield


async def test_a_caller_who_never_reads_does_not_hold_up_the_end(tmp_path: Path) -> None:
    async with process(tmp_path, configuration("0ms"), USERS) as (it, url):
        async with caller_who_never_reads(url):
            it.send_signal(signal.SIGTERM)
            with trio.fail_after(10):
                assert await it.wait() == 0


async def test_a_second_signal_ends_it_at_once_whatever_goes_on(tmp_path: Path) -> None:
    document = configuration("60s", drain="60s")
    async with process(tmp_path, document, USERS) as (it, url):
        async with httpx.AsyncClient(base_url=url) as client:
            body = {**MESSAGE, "recipients": NAMES}
            await client.post("/send", json=body, headers={"Prefer": "respond-async"})
        async with caller_who_never_reads(url):
            it.send_signal(signal.SIGTERM)
            await trio.sleep(0.3)
            assert it.returncode is None
            it.send_signal(signal.SIGTERM)
            with trio.fail_after(5):
                assert await it.wait() == 0


async def test_new_requests_get_503_while_it_drains(tmp_path: Path) -> None:
    async with running(tmp_path, configuration("400ms"), users=USERS) as service:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: service.send(recipients=NAMES))
            await service.until(lambda: service.events)
            service.stop.asked.set()
            await trio.sleep(0.1)
            answer = await service.send(recipients=NAMES)
            assert (answer.status_code, answer.json()["statusCode"]) == (503, "503")
            assert answer.headers["Retry-After"] == "5"
    assert len(service.sent) == 40


async def test_a_second_service_on_one_store_stops_with_a_sentence(tmp_path: Path) -> None:
    async with process(tmp_path, configuration("0ms"), USERS):
        environ = {
            "PATH": os.environ["PATH"],
            "CONFIGURATION_PATH": str(tmp_path / "configuration.json"),
            "STORE_URL": f"sqlite:///{tmp_path / 'carillon.db'}",
            "HTTP_PORT": "0",
        }
        second = await trio.run_process(
            SERVE,
            env=environ,
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
    assert second.returncode == 1
    assert "in use by another running Carillon" in second.stderr.decode()
