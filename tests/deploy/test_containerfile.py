"""Each line of the Containerfile runs in a fresh root, and what comes out of it serves and ends."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tomllib
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import pytest
import trio

from carillon.messages.version import VERSION
from tests.deploy.containerfile import Stage, stages
from tests.deploy.fresh_root import FreshRoot, why_not
from tests.docs.pages import ROOT
from tests.docs.session import free_ports
from tests.running import sandbox_configuration

CONFIGURATION: Final = "/etc/carillon/configuration.json"


@dataclass(frozen=True, slots=True)
class Image:
    """What a build leaves: a root, and how the last stage says that it runs."""

    root: FreshRoot
    stage: Stage

    def command(self, words: list[str], environ: Mapping[str, str]) -> list[str]:
        """What runs in it as its user, with nothing writable but its volume."""
        return self.root.command(
            words,
            {**self.stage.environ, **environ},
            at=self.stage.last("WORKDIR"),
            user=self.stage.last("USER"),
            writable=[self.stage.last("VOLUME")],
        )

    def ask(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run something in it to its end."""
        command = self.command([*words], environ)
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """The build, done once."""
    if reason := why_not():
        pytest.skip(reason)
    roots: dict[str, FreshRoot] = {}
    every = stages()
    for stage in every:
        roots[stage.name] = FreshRoot(tmp_path_factory.mktemp("root") / "fs")
        build(stage, roots[stage.name], roots)
    root = roots[every[-1].name]
    file = root.within(CONFIGURATION)
    file.parent.mkdir()
    file.write_text(json.dumps(sandbox_configuration()))
    return Image(root, every[-1])


def build(stage: Stage, root: FreshRoot, others: Mapping[str, FreshRoot]) -> None:
    """What a builder does with the instructions of a stage."""
    at = "/"
    for one in stage.instructions:
        if one.name == "WORKDIR":
            at = one.rest
            root.within(at).mkdir(parents=True, exist_ok=True)
        elif one.name == "COPY":
            copy(one.rest, root, at, others)
        elif one.name == "RUN":
            root.run(one.rest, stage.environ if stage.name else {}, at)


def copy(rest: str, root: FreshRoot, at: str, others: Mapping[str, FreshRoot]) -> None:
    """`COPY`, from the repository or from another stage."""
    *sources, target = rest.split()
    origin = ROOT
    if sources[0].startswith("--from="):
        origin = others[sources.pop(0).removeprefix("--from=")].folder
    for source in sources:
        found = origin / source.lstrip("/")
        to = root.within(str(Path(at, target)))
        to = to / found.name if target.endswith("/") else to
        to.parent.mkdir(parents=True, exist_ok=True)
        if found.is_dir():
            kept = shutil.ignore_patterns("__pycache__") if origin == ROOT else None
            shutil.copytree(found, to, symlinks=True, ignore=kept)
        else:
            shutil.copy(found, to)


@asynccontextmanager
async def serving(image: Image, **environ: str) -> AsyncGenerator[tuple[trio.Process, int, str]]:
    """Its `CMD`: the process, its id outside of its namespace, and its address."""
    port = str(free_ports(1)[0])
    command = image.command(image.stage.command, {"HTTP_PORT": port, **environ})
    process = await trio.lowlevel.open_process(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        text = ""
        with trio.fail_after(60):
            while "listening on " not in text:
                part = await process.stdout.receive_some()
                assert part, f"it ended early: {text}"
                text += part.decode()
        children = await trio.Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        assert f"listening on http://0.0.0.0:{port}" in text
        yield process, int(children), f"http://127.0.0.1:{port}"
    finally:
        process.kill()  # what it holds ends with it
        with trio.CancelScope(shield=True):
            await process.wait()


@pytest.mark.servers
@pytest.mark.slow
async def test_what_the_containerfile_builds_serves_and_ends(image: Image) -> None:
    async with serving(image) as (process, pid, url):
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            assert (await client.get("/-/ready")).status_code == 200
            port = url.rpartition(":")[2]
            check = await trio.to_thread.run_sync(healthy, image, port)
            assert check.returncode == 0, check.stderr
            text = {"messageTitle": "Title", "messageContent": "Content"}
            body = {"channels": ["email"], "recipients": ["nobody"], **text}
            answer = await client.post("/send", json=body)
        assert answer.status_code == 200, answer.text
        assert [one["userId"] for one in answer.json()["failures"]] == ["nobody"]
        status = await trio.Path(f"/proc/{pid}/status").read_text()
        assert {*status.split("Uid:")[1].splitlines()[0].split()} == {
            image.stage.last("USER").split(":")[0]
        }
        assert image.root.within("/data/carillon.db").stat().st_mode & 0o777 == 0o600
        os.kill(pid, signal.SIGTERM)
        with trio.fail_after(40):
            assert await process.wait() == 0


def healthy(image: Image, port: str) -> subprocess.CompletedProcess[str]:
    """Its `HEALTHCHECK`."""
    return image.ask(*image.stage.health_check, HTTP_PORT=port)


@pytest.mark.servers
@pytest.mark.slow
def test_the_health_check_tells_of_nobody_who_listens(image: Image) -> None:
    assert healthy(image, str(free_ports(1)[0])).returncode != 0


@pytest.mark.servers
@pytest.mark.slow
def test_the_image_holds_the_version_and_both_extras(image: Image) -> None:
    asked = image.ask("carillon", "--version")
    assert VERSION in asked.stdout, asked.stderr
    extras = image.ask("python", "-c", "import confluent_kafka, quickjs; print('both')")
    assert extras.stdout == "both\n", extras.stderr


@pytest.mark.servers
@pytest.mark.slow
def test_nothing_but_its_data_can_be_written(image: Image) -> None:
    tried = "touch /data/x && ! touch /opt/carillon/x && ! touch /tmp/x && ! touch /etc/x"
    assert image.ask("sh", "-c", tried).returncode == 0


def test_what_is_copied_are_the_rooms_of_the_package() -> None:
    every = [one for stage in stages() for one in stage.instructions if one.name == "COPY"]
    copied = {word for one in every for word in source(one.rest)}
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    rooms = {name.split(".")[1] for name in packages["packages"] if "." in name}
    assert {word for word in copied if (ROOT / word).is_dir()} == rooms
    modules = {file.name for file in ROOT.glob("*.py")}
    assert {word for word in copied if word.endswith(".py")} == modules


def source(rest: str) -> list[str]:
    """What a `COPY` takes from the repository."""
    return [] if rest.startswith("--from=") else rest.split()[:-1]


def test_the_image_runs_as_nobody_else_and_is_stopped_gently() -> None:
    last = stages()[-1]
    assert last.last("USER") == "10001:10001"
    assert last.last("STOPSIGNAL") == "SIGTERM"
    assert last.environ["HTTP_HOST"] == "0.0.0.0"
    assert last.last("EXPOSE") == last.environ["HTTP_PORT"]
    assert last.environ["STORE_URL"] == f"sqlite:///{last.last('VOLUME')}/carillon.db"
    assert {one.base.partition(":")[2] for one in stages()} == {"3.11-slim"}


def test_the_lock_of_the_image_pins_what_the_tests_run_with() -> None:
    tested = pins("requirements-dev.lock")
    deployed = pins("deploy/requirements.lock")
    assert deployed.items() <= tested.items()
    assert pins("requirements.lock").keys() | {"confluent-kafka", "quickjs-ng"} <= deployed.keys()


def pins(name: str) -> dict[str, str]:
    """Packages and versions of a lock file."""
    lines = [line for line in (ROOT / name).read_text().splitlines() if line[:1].isalnum()]
    return dict(line.removesuffix("\\").split(";")[0].strip().split("==") for line in lines)
