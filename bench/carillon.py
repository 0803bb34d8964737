"""The service as it is run: `carillon serve`, a configuration, and a store filled for the run."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bench.children import Server, server, warm_server
from bench.client import post_dispatch
from bench.workload import SENDER, dispatch

SERVE: Final = (str(Path(sys.executable).with_name("carillon")), "serve")
OPEN_RATE: Final = (
    {"limit": 1_000_000, "per": "1s"},
    {"limit": 10_000_000, "per": "1m"},  # the most that the configuration takes
)
"""Limits that are kept, and that nobody here reaches."""

Keys = Mapping[str, object]


def provider(url: str, concurrency: int, **more: object) -> Keys:
    """The configuration of a provider; its rate does not bind unless it is given."""
    return {"url": url, "concurrency": concurrency, "rate": OPEN_RATE, **more}


@dataclass(frozen=True, slots=True)
class Carillon:
    """How the service is run: `providers` is that section of its configuration, `more` others.

    `store` is a URL; without it there is a file in the folder. `environ` is added to the
    environment. A `warm` one starts sooner, see `warm_server`: where the start is not measured.
    """

    folder: Path
    providers: Mapping[str, Keys]
    channels: Sequence[str] = ("sms",)
    command: Sequence[str] = SERVE
    more: Keys = field(default_factory=dict)
    store: str | None = None
    environ: Mapping[str, str] = field(default_factory=dict)
    warm: bool = False

    @contextmanager
    def running(self, filled: Path) -> Iterator[Server]:
        """A new process on a copy of a store, warm: it has sent a message over each channel."""
        self.prepare(filled)
        with self.started() as service:
            for channel in self.channels:
                post_dispatch(service.url, dispatch(channel, clusters=["apart"]))
            yield service

    def prepare(self, filled: Path) -> None:
        """Put a copy of a store, and the configuration, where they are looked for."""
        for old in self.folder.glob("*carillon.db*"):
            old.unlink()
        shutil.copy(filled, self._store)
        self.configure()

    def configure(self) -> None:
        """Put the configuration where it is looked for."""
        (self.folder / "configuration.json").write_text(json.dumps(self._configuration()))

    @contextmanager
    def started(self, command: Sequence[str] | None = None) -> Iterator[Server]:
        """A new process on what is there."""
        environ = {
            **os.environ,
            **self.environ,
            "CONFIGURATION_PATH": str(self.folder / "configuration.json"),
            "STORE_URL": self.store or f"sqlite:///{self._store}",
            "HTTP_HOST": "127.0.0.1",
            "HTTP_PORT": "0",
            "OPERATOR_TOKEN_FILE": str(self._token_file),
        }
        run = warm_server if self.warm else server
        with run(command or self.command, self.folder / "carillon.log", environ) as service:
            yield service

    @property
    def operator_token(self) -> str:
        """What opens the routes of operators while the service runs."""
        return self._token_file.read_text().strip()

    @property
    def _token_file(self) -> Path:
        return self.folder / "operator-token"

    @property
    def _store(self) -> Path:
        return self.folder / "carillon.db"

    def _configuration(self) -> Keys:
        return {
            "activeChannels": self.channels,
            "sender": {"sms": SENDER, "email": "shop@shop.example"},
            "providers": self.providers,
            "respondWithin": "0",
            "drain": "2s",  # after a Ctrl-C nobody wants the rest of a dispatch
            **self.more,
        }
