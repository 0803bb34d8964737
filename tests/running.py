"""A whole service in this process, over a real socket, for scenario tests."""

from __future__ import annotations

import io
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import trio

from carillon.access.operator_token import read_token
from carillon.app.service import Extras, run
from carillon.app.stop import Stop
from carillon.messages.events import DeliveryEnded, Event, Observer
from carillon.messages.model import CHANNELS, Delivery, Document, JsonValue
from carillon.settings import ConfigurationFile, Settings, from_document
from carillon.stores.sqlite.database import open_store
from carillon.stores.sqlite.directory import import_documents
from carillon.telemetry.logs import make_logger

SENDERS: JsonValue = {"email": "shop@example.com", "sms": "Shop", "voice": "+390212345678"}


@dataclass
class Running:
    """A service that listens, and what a test can see of it."""

    url: str
    client: httpx.AsyncClient
    stop: Stop
    log: io.StringIO
    events: list[Event]
    token_file: Path
    sent: list[Delivery] = field(default_factory=list)

    async def send(self, **body: object) -> httpx.Response:
        """Post a dispatch; `channels`, title and content have defaults."""
        whole = {"channels": ["email"], **body}
        if "templateId" not in whole:
            whole = {"messageTitle": "Title", "messageContent": "Content", **whole}
        return await self.client.post("/send", json=whole)

    async def until(self, true: Callable[[], object], within: float = 10.0) -> None:
        """Wait until something is true of what this process can see."""
        with trio.fail_after(within):
            while not true():
                await trio.sleep(0.005)

    def outcomes(self) -> dict[tuple[str, str], tuple[str, str]]:
        """Outcome and reason of every delivery that ended, by user id and channel."""
        receipts = [event.receipt for event in self.events if isinstance(event, DeliveryEnded)]
        return {(one.user_id, one.channel): (one.outcome, one.reason) for one in receipts}

    @property
    def environ(self) -> dict[str, str]:
        """What the command line finds it by."""
        return {"CARILLON_URL": self.url, "OPERATOR_TOKEN_FILE": str(self.token_file)}

    @property
    def log_lines(self) -> list[dict[str, object]]:
        """What the service has logged."""
        return [json.loads(line) for line in self.log.getvalue().splitlines()]


def sandbox_configuration(**changes: JsonValue) -> Document:
    """A configuration with every channel on a sandbox of its own."""
    return {
        "activeChannels": list(CHANNELS),
        "sender": SENDERS,
        "channels": {name: {"providers": [f"{name}-sandbox"]} for name in CHANNELS},
        "providers": {f"{name}-sandbox": {"type": "sandbox"} for name in CHANNELS},
        **changes,
    }


def fill_store(
    path: Path, users: Sequence[Document] = (), templates: Sequence[Document] = ()
) -> None:
    """Put documents into an embedded store."""
    connection = open_store(path)
    for _ in import_documents(connection, "user", users):
        pass
    for _ in import_documents(connection, "template", templates):
        pass
    connection.close()


def settings_for(
    folder: Path, configuration: JsonValue, environ: Mapping[str, str] | None = None
) -> Settings:
    """Settings with a store in a folder and any free port."""
    surroundings = {
        "STORE_URL": f"sqlite:///{folder / 'carillon.db'}",
        "HTTP_PORT": "0",
        **(environ or {}),
    }
    return from_document(configuration, surroundings)


def operator(token_file: Path) -> dict[str, str]:
    """The header that opens operators' routes; none where the service has drawn no token."""
    token = read_token(token_file) if token_file.is_file() else None
    return {} if token is None else {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def running(
    folder: Path,
    configuration: JsonValue = None,
    *,
    users: Sequence[Document] = (),
    templates: Sequence[Document] = (),
    environ: Mapping[str, str] | None = None,
    file: ConfigurationFile | None = None,
    observers: Sequence[Observer] = (),
    hears: Callable[[Delivery], None] | None = None,
    log: io.StringIO | None = None,
) -> AsyncGenerator[Running]:
    """A service around the body; it is stopped and drained after it.

    `hears` takes the place of what keeps the sandboxes' messages.
    """
    settings = settings_for(folder, configuration or sandbox_configuration(), environ)
    await trio.to_thread.run_sync(fill_store, settings.directory.store_path, users, templates)
    stop, log = Stop(), log or io.StringIO()
    events: list[Event] = []
    sent: list[Delivery] = []
    extras = Extras([*observers, events.append], hears or sent.append, file)
    logger = make_logger("debug", log)
    async with trio.open_nursery() as nursery:
        url = await nursery.start(run, settings, stop, logger, extras)
        token_file = settings.directory.store_path.with_name("carillon.db-token")
        async with httpx.AsyncClient(base_url=url, timeout=30, verify=False) as client:
            client.headers.update(operator(token_file))
            yield Running(url, client, stop, log, events, token_file, sent)
        stop.asked.set()
