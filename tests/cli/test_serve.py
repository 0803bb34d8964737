from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from carillon.stores.sqlite.database import only_server
from tests.cli.command_line import SCRIPT, script, started
from tests.running import sandbox_configuration

NOT_NEEDED = (
    "rich",
    "pygments",
    "babel",
    "pymongo",
    "carillon.stores.mongodb.client",
    "dns",
    "bson",
    "jwt",
    "cryptography",
    "aiohttp",
    "carillon.cli.progress",
    "carillon.cli.table",
)


@pytest.fixture
def configuration(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "carillon.json"
    file.write_text(json.dumps(sandbox_configuration()))
    return {"CONFIGURATION_PATH": str(file), "HTTP_PORT": "0"}


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


async def test_it_serves_until_it_is_told_to_stop(
    tmp_path: Path, configuration: dict[str, str]
) -> None:
    async with started([SCRIPT, "serve"], tmp_path, **configuration) as service:
        text = await service.says("listening on http://127.0.0.1:")
        url = json.loads(text.splitlines()[-1])["msg"].removeprefix("listening on ")
        async with httpx.AsyncClient(base_url=url) as client:
            assert (await client.get("/-/ready")).status_code == 200
        assert await service.ends(signal.SIGTERM) == 0
    assert (tmp_path / "stderr").read_bytes() == b""
    assert (tmp_path / "carillon.db").exists()


async def test_it_imports_only_what_it_needs(tmp_path: Path, configuration: dict[str, str]) -> None:
    command = [sys.executable, "-X", "importtime", SCRIPT, "serve"]
    async with started(command, tmp_path, **configuration) as service:
        await service.says("listening on")
        assert await service.ends(signal.SIGTERM) == 0
    lines = (tmp_path / "stderr").read_text().splitlines()
    names = {line.rpartition("|")[2].strip() for line in lines}
    assert "carillon.app.service" in names
    assert sorted(names.intersection(NOT_NEEDED)) == []


async def test_a_wrong_configuration_is_told_of(tmp_path: Path) -> None:
    ran = await script(tmp_path, "serve")
    assert (ran.returncode, ran.stdout) == (2, b"")
    assert ran.stderr.count(b"\n") == 1
    assert b"CONFIGURATION_PATH" in ran.stderr


async def test_a_taken_port_is_told_of(
    tmp_path: Path, configuration: dict[str, str], taken_port: int
) -> None:
    environ = {**configuration, "HTTP_PORT": str(taken_port)}
    ran = await script(tmp_path, "serve", environ=environ)
    assert ran.returncode == 1
    told = f"carillon: Cannot listen on 127.0.0.1:{taken_port}: it is in use".encode()
    assert ran.stderr.startswith(told)
    assert ran.stderr.count(b"\n") == 1


async def test_a_store_in_use_is_told_of(tmp_path: Path, configuration: dict[str, str]) -> None:
    with only_server(tmp_path / "carillon.db"):
        ran = await script(tmp_path, "serve", environ=configuration)
    assert ran.returncode == 1
    assert b"is in use by another running Carillon" in ran.stderr
    assert ran.stderr.count(b"\n") == 1


@pytest.mark.servers
async def test_a_mongodb_that_is_not_there_is_told_of(
    tmp_path: Path, configuration: dict[str, str]
) -> None:
    there = "mongodb://ada:hunter2@127.0.0.1:1/shop?serverSelectionTimeoutMS=300"
    ran = await script(tmp_path, "serve", environ={**configuration, "STORE_URL": there})
    assert ran.returncode == 2
    assert ran.stderr.startswith(b"carillon: The store mongodb://127.0.0.1:1/shop cannot be used")
    assert b"hunter2" not in ran.stderr
    assert ran.stderr.count(b"\n") == 1


async def test_a_store_in_no_folder_is_told_of(
    tmp_path: Path, configuration: dict[str, str]
) -> None:
    environ = {**configuration, "STORE_URL": f"sqlite:///{tmp_path / 'none' / 'c.db'}"}
    ran = await script(tmp_path, "serve", environ=environ)
    assert ran.returncode == 2
    assert ran.stderr.startswith(b"carillon: ")
    assert b"No such file or directory" in ran.stderr
    assert os.fsencode(tmp_path / "none") in ran.stderr
    assert ran.stderr.count(b"\n") == 1
