"""A MongoDB for tests: a server of our own, or the one that TEST_MONGODB_URI names.

No package carries MongoDB itself. `secantusd-rs` speaks its protocol and keeps documents in
WiredTiger; `./dev` puts it into `.mongo-test`, apart from what Carillon depends on.

    with MongoServer(folder) as server:
        server.url("name")          # of a database
        server.kill()               # as kill -9 does; what was acknowledged is on disk
        server.start()              # on the same port, with the same documents
        server.freeze(); server.thaw()   # connections are taken, and nothing is answered
        server.slow("find", 3.0)    # the next find takes so many seconds longer
        server.refuse("find", 262, times=2)   # the next two are answered with this code
"""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Final, Self
from uuid import uuid4

from carillon.stores.mongodb.client import connected
from carillon.stores.mongodb.url import MongoUrl, mongodb_url

_ROOT: Final = Path(__file__).parent.parent.parent
_PROGRAM: Final = _ROOT / ".mongo-test" / "bin" / "secantusd-rs"
_START_SECONDS: Final = 30.0


class MongoServer:
    """A server process and its folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._said = folder / "said"
        self._port = 0
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def url(self, database: str, options: str = "") -> MongoUrl:
        """Where a database of it is."""
        return mongodb_url(f"mongodb://127.0.0.1:{self._port}/{database}{options}")

    def start(self) -> None:
        """Start it, and return once it listens."""
        if not _PROGRAM.exists():
            raise FileNotFoundError(f"{_PROGRAM} is missing: ./dev test puts it there")
        words = [str(_PROGRAM), "--port", str(self._port)]
        words += ["--storage-path", str(self._folder / "data")]
        # As mongod with j:true; and small enough to start again in no time.
        words += ["--sync-on-commit", "--log-file-max", "16MB", "--cache-size", "256M"]
        with self._said.open("wb") as said:
            self._process = subprocess.Popen(words, stdout=said, stderr=subprocess.STDOUT)
        self._port = self._listening_on()

    def _listening_on(self) -> int:
        ends = monotonic() + _START_SECONDS
        while monotonic() < ends and self._process and self._process.poll() is None:
            _, found, address = self._said.read_text().partition("listening on ")
            if found and "\n" in address:
                return int(address.split()[0].rpartition(":")[2])
            sleep(0.02)
        self.kill()
        raise RuntimeError(f"The MongoDB for tests did not start: {self._said.read_text()}")

    def kill(self) -> None:
        """Kill it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it keep its port and say nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def slow(self, command: str, seconds: float) -> None:
        """Let the next command of this name take so much longer."""
        self._fail(command, 1, {"blockConnection": True, "blockTimeMS": int(seconds * 1000)})

    def refuse(self, command: str, code: int, times: int) -> None:
        """Answer the next commands of this name with an error."""
        self._fail(command, times, {"errorCode": code})

    def _fail(self, command: str, times: int, how: dict[str, int]) -> None:
        data = {"failCommands": [command], **how}
        with connected(self.url("admin")) as client:
            client.admin.command(
                "configureFailPoint", "failCommand", mode={"times": times}, data=data
            )


@contextmanager
def named_or_started(folder: Path) -> Iterator[str]:
    """The URL of a server, without a database: that of TEST_MONGODB_URI, else of one of ours."""
    if named := os.environ.get("TEST_MONGODB_URI"):
        yield named
        return
    with MongoServer(folder) as server:
        yield server.url("x").text.removesuffix("/x")


@contextmanager
def new_database(server: str) -> Iterator[MongoUrl]:
    """A database that is not there yet, and is gone after the body."""
    base, mark, options = server.partition("?")
    scheme, _, rest = base.partition("://")
    hosts = rest.partition("/")[0]
    url = mongodb_url(f"{scheme}://{hosts}/test_{uuid4().hex}{mark}{options}")
    yield url
    with connected(url) as client:
        client.drop_database(url.database)
