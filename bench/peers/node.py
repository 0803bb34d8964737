"""Node.js beside us: finds it, installs what the peer needs, and starts the peer."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.children import Server, server
from bench.client import post_dispatch
from bench.section import Say
from bench.workload import dispatch, user, user_id

_PEERS: Final = Path(__file__).parent
_FILES: Final = ("package.json", "package-lock.json")
_INSTALL: Final = (
    "ci",
    "--silent",
    "--no-audit",
    "--no-fund",
    "--ignore-scripts",
    "--fetch-retries=1",
)
_PATIENCE: Final = 180.0
_WARM_UP: Final = 2000  # messages, so that its compiler has seen the code


class NoNodeError(Exception):
    """Node.js, npm or the packages are not to be had here; the text says which and why."""


@dataclass(frozen=True, slots=True)
class Node:
    """The Node.js peer: the program and the packages that it runs with."""

    program: str
    modules: Path

    def write_users(self, path: Path, users: int) -> None:
        """Its store: a JSON document a line, the same that are in Carillon's."""
        with path.open("w") as file:
            file.writelines(json.dumps(user(number)) + "\n" for number in range(users))

    @contextmanager
    def running(self, users: Path, provider_url: str, concurrency: int) -> Iterator[Server]:
        """A new process, warm: it has sent some thousand messages."""
        peer = str(_PEERS / "fan_out.mjs")
        command = [self.program, peer, str(self.modules), str(users), provider_url]
        with server([*command, str(concurrency)], users.with_suffix(".log")) as service:
            with users.open() as file:
                some = [user_id(number) for number, _ in zip(range(_WARM_UP), file, strict=False)]
            post_dispatch(service.url, dispatch(recipients=some))
            yield service


def find_node(cache: Path, say: Say) -> Node:
    """Node.js with the packages of the lock file, installed into the cache. Raises NoNodeError."""
    program, npm = shutil.which("node"), shutil.which("npm")
    if program is None or npm is None:
        raise NoNodeError("node and npm are not on the PATH")
    digest = hashlib.sha256((_PEERS / "package-lock.json").read_bytes()).hexdigest()[:12]
    kept = cache / f"node-{digest}"
    if not kept.exists():
        say("installing the packages of the Node.js peer")
        _install(npm, cache, kept)
    return Node(program, kept / "node_modules")


def _install(npm: str, cache: Path, kept: Path) -> None:
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    with TemporaryDirectory(dir=cache) as folder:
        unfinished = Path(folder) / "node"
        unfinished.mkdir()
        for name in _FILES:
            shutil.copy(_PEERS / name, unfinished)
        command = [npm, *_INSTALL]
        try:
            done = subprocess.run(
                command,
                cwd=unfinished,
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoNodeError(f"npm did not install the packages: {error}") from error
        if done.returncode:
            raise NoNodeError(f"npm did not install the packages: {done.stderr[-300:].strip()}")
        unfinished.rename(kept)
