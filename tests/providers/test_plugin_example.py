"""The plug-in of `docs/examples/plugin`: built, installed beside the service, checked and used."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio

from carillon.messages.model import Document
from tests.docs.pages import ROOT
from tests.neighbours.http import json_answer, serve
from tests.running import fill_store

EXAMPLE: Final = ROOT / "docs" / "examples" / "plugin"
USERS: Final[list[Document]] = [{"_id": "ada", "phoneNumber": "+393331234567"}]

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of packages with the plug-in in it."""
    folder = tmp_path_factory.mktemp("plugin")
    source, wheels, site = folder / "source", folder / "wheels", folder / "site"
    source.mkdir()
    for name in ("pyproject.toml", "pigeon_post.py"):
        (source / name).write_bytes((EXAMPLE / name).read_bytes())
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    alone = ["--no-deps", "--no-index"]
    build = [*pip, "wheel", *alone, "--no-build-isolation", "-w", str(wheels), str(source)]
    subprocess.run(build, check=True, capture_output=True, timeout=300)
    [wheel] = wheels.glob("carillon_pigeon-*.whl")
    install = [*pip, "install", *alone, "--target", str(site), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=300)
    return site


def run(site: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    known = {"PATH": os.environ["PATH"], "HOME": str(site.parent), "PYTHONPATH": str(site)}
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=site.parent,
        env={**known, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def configuration(url: str) -> Document:
    return {
        "activeChannels": ["sms"],
        "sender": {"sms": "Shop"},
        "channels": {"sms": {"providers": ["pigeon"]}},
        "providers": {"pigeon": {"url": url, "rate": "5/1s"}},
    }


@asynccontextmanager
async def service(site: Path, folder: Path) -> AsyncGenerator[str]:
    """The address of a service that begins cold: plug-ins are looked for when it is imported."""
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(site),
        "PIGEON_KEY": "coo",
        "CONFIGURATION_PATH": str(folder / "configuration.json"),
        "STORE_URL": f"sqlite:///{folder / 'carillon.db'}",
        "HTTP_PORT": "0",
    }
    command = [sys.executable, "-m", "carillon", "serve"]
    it = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE, env=environ)
    assert it.stdout is not None
    async with it.stdout:
        text = ""
        try:
            with trio.fail_after(60):
                while "listening on " not in text:
                    part = await it.stdout.receive_some()
                    assert part, f"it ended early: {text}"
                    text += part.decode()
            yield text.split("listening on ")[1].split('"')[0]
        finally:
            it.kill()
            with trio.CancelScope(shield=True):
                await it.wait()


def test_it_is_listed_with_its_package_and_documented_like_ours(site: Path) -> None:
    listed = run(site, "carillon", "providers", "types")
    [row] = [line for line in listed.stdout.splitlines() if line.startswith("pigeon")]
    assert row.split()[-2:] == ["carillon-pigeon", "1.0"]
    told = json.loads(run(site, "carillon", "providers", "types", "--json").stdout)
    [pigeon] = [one for one in told if one["type"] == "pigeon"]
    assert pigeon["plugin"] == "carillon-pigeon 1.0"
    assert pigeon["variables"].keys() == {"PIGEON_KEY", "PIGEON_URL"}
    schema = json.loads(run(site, "carillon", "config", "schema").stdout)
    assert "pigeon" in schema["properties"]["providers"]["properties"]


def test_its_keys_are_held_to_its_model(site: Path, tmp_path: Path) -> None:
    file = tmp_path / "configuration.json"
    file.write_text(json.dumps(configuration("ftp://h")))
    store = f"sqlite:///{tmp_path}/carillon.db"
    known = {"CONFIGURATION_PATH": str(file), "STORE_URL": store}
    checked = run(site, "carillon", "config", "check", **known)
    assert checked.returncode == 2
    assert "providers.pigeon.url" in checked.stderr
    assert "providers.pigeon.credentials.key: is missing; set it or PIGEON_KEY" in checked.stderr


def test_it_keeps_the_contract(site: Path, tmp_path: Path) -> None:
    (tmp_path / "test_pigeon.py").write_bytes((EXAMPLE / "test_pigeon.py").read_bytes())
    options = ["-q", "-p", "no:cacheprovider", "-o", "trio_mode=true", "--rootdir", str(tmp_path)]
    made = run(site, "pytest", *options, str(tmp_path / "test_pigeon.py"))
    assert made.returncode == 0, made.stdout + made.stderr
    assert "passed" in made.stdout


async def test_a_message_goes_through_it(site: Path, tmp_path: Path) -> None:
    fill_store(tmp_path / "carillon.db", USERS)
    async with serve(json_answer({"id": "feather-1"})) as post:
        (tmp_path / "configuration.json").write_text(json.dumps(configuration(f"{post.url}/v1")))
        async with service(site, tmp_path) as url:
            async with httpx.AsyncClient(base_url=url, timeout=30) as client:
                body = {"channels": ["sms"], "recipients": ["ada"]}
                body |= {"messageTitle": "T", "messageContent": "Hi"}  # type: ignore[dict-item]
                made = await client.post("/send", json=body)
                assert made.json() == {"failures": []}
                at = made.headers["dispatch-id"]
                rows = await client.get(f"/dispatches/{at}/deliveries")
    [request] = post.requests
    assert (request.method, request.path) == ("POST", "/v1/messages")
    assert request.headers["x-pigeon-key"] == "coo"
    assert request.json() == {"to": "+393331234567", "text": "Hi"}
    assert "feather-1" in rows.text


def test_one_at_fault_is_one_sentence_and_no_traceback(site: Path, tmp_path: Path) -> None:
    broken = tmp_path / "site"
    broken.mkdir()
    for entry in site.iterdir():
        (broken / entry.name).symlink_to(entry)
    (broken / "pigeon_post.py").unlink()
    (broken / "pigeon_post.py").write_text("import carillon.no_such_room\n")
    file = tmp_path / "configuration.json"
    file.write_text(json.dumps(configuration("http://h")))
    store = f"sqlite:///{tmp_path}/carillon.db"
    known = {"CONFIGURATION_PATH": str(file), "STORE_URL": store, "HTTP_PORT": "0"}
    for command in (("config", "check"), ("serve",)):
        made = run(broken, "carillon", *command, **known)
        assert made.returncode == 2, made
        assert "Traceback" not in made.stdout + made.stderr
        sentence = 'the plug-in "pigeon" (carillon-pigeon 1.0, pigeon_post:PigeonConfig) cannot'
        assert made.stderr.count(sentence) == 1, made.stderr
    listed = run(broken, "carillon", "providers", "types")
    assert listed.returncode == 0
    assert "warning: the plug-in" in listed.stderr
