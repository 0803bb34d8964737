"""The service as it is run: `carillon serve`, a configuration, and a store filled for the run."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

from bench.children import Server, server
from bench.local_http import post_dispatch, take_tally
from bench.workload import SENDER, dispatch, user
from messages.model import Document
from stores.sqlite import open_store
from stores.sqlite_directory import import_documents

SERVE: Final = (str(Path(sys.executable).with_name("carillon")), "serve")
_WARMS_UP: Final = 9_999_999


def fill_store(path: Path, users: int) -> None:
    """Make a store with so many users in one cluster, and one apart to warm up with."""
    everybody = (user(index) for index in range(users))
    apart = iter([user(_WARMS_UP, clusters=["apart"])])
    connection = open_store(path)
    try:
        for documents in (everybody, apart):
            for _ in import_documents(connection, "user", cast(Iterator[Document], documents)):
                pass
    finally:
        connection.close()


@dataclass(frozen=True, slots=True)
class Carillon:
    """How the service is run."""

    folder: Path
    provider_url: str
    concurrency: int
    command: Sequence[str] = SERVE

    @contextmanager
    def running(self, filled: Path) -> Iterator[Server]:
        """A new process on a copy of a store, warm: it has sent one message."""
        store = self.folder / "carillon.db"
        for old in self.folder.glob("carillon.db*"):
            old.unlink()
        shutil.copy(filled, store)
        configuration = self.folder / "configuration.json"
        configuration.write_text(json.dumps(self._configuration()))
        environ = {
            **os.environ,
            "CONFIGURATION_PATH": str(configuration),
            "STORE_URL": f"sqlite:///{store}",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": "0",
        }
        with server(self.command, self.folder / "carillon.log", environ) as service:
            post_dispatch(service.url, dispatch(clusters=["apart"]))
            take_tally(self.provider_url)
            yield service

    def _configuration(self) -> dict[str, object]:
        sms = {"url": self.provider_url, "concurrency": self.concurrency, "rate": []}
        return {
            "activeChannels": ["sms"],
            "sender": {"sms": SENDER},
            "providers": {"sms-service": sms},
            "respondWithin": "0",
            "drain": "2s",  # after a Ctrl-C nobody wants the rest of a dispatch
        }
