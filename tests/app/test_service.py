"""The process: its last words, and that it needs nobody who listens to it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
import trio

from tests.cli.command_line import SCRIPT, clean_environment, started
from tests.running import sandbox_configuration

pytestmark = pytest.mark.servers

CRASHING = """
import trio
from carillon import settings
from carillon.app import service

async def crash(*_):
    await trio.sleep(0.2)
    raise RuntimeError("Authorization: Bearer shop.secret")

async def crash_in_two(*_):
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crash)
        nursery.start_soon(trio.sleep_forever)

service.keep_house = lambda nursery, *_: nursery.start_soon(crash_in_two)
service.main(settings.load())
"""

MURMURING = """
import threading, trio
from carillon import settings
from carillon.app import service

class Dying:
    def __del__(self):
        raise RuntimeError("shop.secret")

def die():
    raise RuntimeError("shop.secret")

async def murmur(*_):
    Dying()
    threading.Thread(target=die).start()
    await trio.sleep_forever()

service.keep_house = lambda nursery, *_: nursery.start_soon(murmur)
service.main(settings.load())
"""


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "carillon.json"
    file.write_text(json.dumps(sandbox_configuration()))
    return {"CONFIGURATION_PATH": str(file), "HTTP_PORT": "0"}


async def test_a_crash_is_one_line_that_tells_no_secret(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    with trio.fail_after(30):
        ran = await trio.run_process(
            [sys.executable, "-c", CRASHING],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            cwd=tmp_path,
            env=clean_environment(tmp_path, environ),
        )
    last = json.loads(ran.stdout.splitlines()[-1])
    assert ran.returncode == 1
    assert (last["msg"], last["level"]) == ("crashed", 60)
    assert "RuntimeError" in json.dumps(last["err"])
    assert "in crash" in json.dumps(last["err"])
    assert b"secret" not in ran.stdout
    assert ran.stderr == b""


async def test_what_nobody_catches_tells_no_secret(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    command = [sys.executable, "-c", MURMURING]
    async with started(command, tmp_path, **environ) as service:
        await service.says("listening on")
        await service.says("thread crashed")
        assert "finalizer crashed" in service.text
        assert "secret" not in service.text
        assert await service.ends(signal.SIGTERM) == 0
    assert (tmp_path / "stderr").read_bytes() == b""


async def test_nobody_needs_to_read_the_log(tmp_path: Path, environ: Mapping[str, str]) -> None:
    async with started([SCRIPT, "serve"], tmp_path, **environ) as service:
        text = await service.says("listening on http://127.0.0.1:")
        url = json.loads(text.splitlines()[-1])["msg"].removeprefix("listening on ")
        assert service.process.stdout is not None
        await service.process.stdout.aclose()
        async with httpx.AsyncClient(base_url=url) as client:
            for _ in range(3):
                assert (await client.get("/nope")).status_code == 404
        assert await service.ends(signal.SIGTERM) == 0
    assert (tmp_path / "stderr").read_bytes() == b""


async def test_a_log_on_a_full_disk_ends_nothing(
    tmp_path: Path, environ: Mapping[str, str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    surroundings = clean_environment(tmp_path, {**environ, "HTTP_PORT": str(port)})
    with Path(os.devnull).with_name("full").open("wb") as full, trio.fail_after(30):
        it = await trio.lowlevel.open_process(
            [SCRIPT, "serve"], stdout=full, stderr=subprocess.PIPE, cwd=tmp_path, env=surroundings
        )
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        with trio.fail_after(30):
            while not await answers(client):
                await trio.sleep(0.05)
    it.send_signal(signal.SIGTERM)
    with trio.fail_after(30):
        assert await it.wait() == 0
        assert it.stderr is not None
        assert await it.stderr.receive_some() == b""
        await it.stderr.aclose()


async def answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/nope")).status_code == 404
    except httpx.ConnectError:
        return False
