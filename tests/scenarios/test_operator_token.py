"""Without keys operators' routes open to who can read the token's file, and to nobody else."""

from __future__ import annotations

import stat
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import trio

from carillon.access.operator_token import read_token
from carillon.messages.model import Document
from carillon.stores.mongodb.url import MongoUrl
from tests.cli.command_line import SCRIPT, script, started
from tests.neighbours.http import Answer, Request, serve
from tests.process import process
from tests.running import operator, running, sandbox_configuration

OPERATORS = (
    ("GET", "/providers"),
    ("GET", "/dispatches"),
    ("GET", "/events"),
    ("GET", "/supervisor"),
    ("GET", "/audit"),
    ("PATCH", "/providers/sms-sandbox"),
    ("DELETE", "/providers/sms-sandbox/override"),
    ("POST", "/supervisor/channels/sms/revive"),
    ("DELETE", "/dispatches/x"),
    ("POST", "/dispatches/x/redrive"),
    ("POST", "/events/x/redrive"),
)
BODY: Document = {
    "channels": ["sms"],
    "recipients": [],
    "messageTitle": "T",
    "messageContent": "C",
}


async def refused(url: str, status: int, **headers: str) -> None:
    async with httpx.AsyncClient(base_url=url, headers=headers) as client:
        for method, path in OPERATORS:
            answer = await client.request(method, path, json={})
            assert (method, path, answer.status_code) == (method, path, status)
            assert answer.json()["statusCode"] == str(status)


def proxy_pass(upstream: str) -> Callable[[Request], Awaitable[Answer]]:
    """What nginx does with a bare `proxy_pass`: its own address and Host, and no word of it."""

    async def pass_on(request: Request) -> Answer:
        kept = {
            name: value
            for name, value in request.headers.items()
            if name.lower() not in {"host", "connection", "content-length"}
        }
        async with httpx.AsyncClient() as client:
            answer = await client.request(
                request.method, f"{upstream}{request.target}", content=request.body, headers=kept
            )
        return Answer(answer.status_code, answer.content)

    return pass_on


async def test_a_bare_proxy_on_this_machine_lets_nobody_in(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        async with serve(proxy_pass(service.url)) as proxy:
            await refused(proxy.url, 401)
            async with httpx.AsyncClient(base_url=proxy.url) as client:
                sent = await client.post("/send", json=BODY)
                assert sent.status_code == 200
        untouched = (await service.client.get("/providers/sms-sandbox")).json()
        assert untouched["state"] == "running"
        assert (await service.client.get("/audit")).json()["entries"] == []


async def test_a_forged_host_lets_nobody_in(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        for host in ("localhost", "127.0.0.1:3000", "[::1]"):
            await refused(service.url, 401, Host=host)
        await refused(service.url, 401, Host="localhost", Authorization="Bearer loopback.guess")


async def test_the_token_lives_as_long_as_its_service(tmp_path: Path) -> None:
    file = tmp_path / "carillon.db-token"
    async with running(tmp_path) as service:
        first = read_token(file)
        assert stat.S_IMODE((await trio.Path(file).stat()).st_mode) == 0o600
        assert (await service.client.get("/providers")).status_code == 200
        assert first is not None
        assert first not in service.log.getvalue()
    assert read_token(file) is None
    async with running(tmp_path) as service:
        assert read_token(file) != first
        await refused(service.url, 401, Authorization=f"Bearer {first}")


@pytest.mark.parametrize("environ", [{"KUBERNETES_SERVICE_HOST": "x"}, {"API_KEYS_FILE": "keys"}])
async def test_in_a_cluster_and_with_keys_there_is_none(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    made = await script(tmp_path, "keys", "new", "--scope", "read", "--file", "keys")
    assert made.returncode == 0
    environ = {name: str(tmp_path / value) for name, value in environ.items()}
    async with running(tmp_path, environ={**environ, "HTTP_HOST": "127.0.0.1"}) as service:
        assert read_token(tmp_path / "carillon.db-token") is None
        await refused(service.url, 401 if "API_KEYS_FILE" in environ else 403)
        service.stop.at_once.set()


async def test_a_token_that_cannot_be_written_turns_operating_off_and_nothing_else(
    tmp_path: Path,
) -> None:
    (tmp_path / "carillon.db-token").mkdir()  # no file takes the place of a folder
    async with running(tmp_path) as service:
        await refused(service.url, 403)
        assert (await service.client.post("/send", json=BODY)).status_code == 200
        [line] = [str(one["msg"]) for one in service.log_lines if one["level"] == 40]
    assert "operators' routes are off" in line
    assert f"{tmp_path}/carillon.db-token: Is a directory" in line
    assert "OPERATOR_TOKEN_FILE" in line


@pytest.mark.servers
async def test_the_command_line_operates_beside_the_service(tmp_path: Path) -> None:
    async with process(tmp_path, sandbox_configuration()) as (_, url):
        address = {"CARILLON_URL": url}
        listed = await script(tmp_path, "providers", "list", environ=address)
        assert listed.returncode == 0, listed.stderr
        paused = await script(tmp_path, "providers", "pause", "sms-sandbox", environ=address)
        assert paused.returncode == 0, paused.stderr
        (tmp_path / "elsewhere").mkdir()
        away = await script(tmp_path / "elsewhere", "providers", "list", environ=address)
        store = {"STORE_URL": f"sqlite:///{tmp_path / 'carillon.db'}"}
        named = await script(
            tmp_path / "elsewhere", "providers", "list", environ={**address, **store}
        )
    assert named.returncode == 0, named.stderr
    assert away.returncode == 2
    text = away.stderr.decode()
    assert "401: Without API keys this route needs the operator token" in text
    assert f"{tmp_path}/elsewhere/carillon.db-token is not there" in text
    assert "OPERATOR_TOKEN_FILE" in text


@pytest.mark.servers
async def test_on_a_mongodb_the_token_is_in_the_state_folder(
    tmp_path: Path, mongodb: MongoUrl
) -> None:
    environ = {"STORE_URL": mongodb.text, "HOME": str(tmp_path)}
    async with process(tmp_path, sandbox_configuration(), (), **environ) as (_, url):
        file = tmp_path / f".local/state/carillon/operator-token-{urlsplit(url).port}"
        async with httpx.AsyncClient(base_url=url, headers=operator(file)) as client:
            assert (await client.get("/providers")).status_code == 200
        here = {"CARILLON_URL": url, "STORE_URL": mongodb.text}
        listed = await script(tmp_path, "providers", "list", environ=here)
    assert listed.returncode == 0, listed.stderr


@pytest.mark.servers
async def test_the_token_is_no_proxys_business(tmp_path: Path) -> None:
    async with serve(Answer(500)) as proxy, running(tmp_path) as service:
        environ = {**service.environ, "http_proxy": proxy.url, "all_proxy": proxy.url}
        listed = await script(tmp_path, "providers", "list", environ=environ)
    assert listed.returncode == 0, listed.stderr
    assert proxy.requests == []


@pytest.mark.servers
async def test_a_demo_is_operated_from_any_folder(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    async with started([SCRIPT, "demo", "--port", "0"], tmp_path) as demo:
        url = (await demo.says("Ctrl-C ends it")).split()[3].rstrip(",")
        environ = {"CARILLON_URL": url, "HOME": str(tmp_path)}
        listed = await script(tmp_path / "elsewhere", "providers", "list", environ=environ)
    assert listed.returncode == 0, listed.stderr
    assert b"sms-sandbox" in listed.stdout
