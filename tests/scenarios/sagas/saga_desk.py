"""A service among its neighbours, a Flow Manager among them: what a saga sends, and is told.

async with saga_desk(tmp_path, users=[ADA]) as at:
    carried_out(await at.command("S-1", {"channels": "sms", "recipients": ADA_ID, …}))
    at.flow_manager.events, at.around.bodies("sms")
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import httpx
import trio

from carillon.messages.model import Document, JsonValue
from tests.neighbours.flow_manager import FlowManager
from tests.neighbours.http import Server
from tests.scenarios.neighbourhood import ADA, Neighbourhood, listen, neighbourhood

PATHS: Final[Document] = {
    "channels": "channels",
    "recipients": "recipients",
    "clusters": "clusters",
    "messageTitle": "title",
    "messageContent": "content",
    "templateId": "template",
}
TEXT: Final[Document] = {"title": "Title", "content": "Content"}


@dataclass
class SagaDesk:
    """The service, its neighbours, and the Flow Manager."""

    around: Neighbourhood
    flow_manager: FlowManager
    server: Server

    async def command(
        self,
        key: str = "S-1",
        payload: JsonValue = None,
        label: str = "tell",
        method: str = "POST",
        **headers: str,
    ) -> httpx.Response:
        """Send a command; a header's name has underscores in place of hyphens."""
        value: Document = {"messageLabel": label, "messagePayload": payload}
        return await self.post({"key": key, "value": value}, method, headers)

    async def post(
        self, body: JsonValue, method: str = "POST", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send any JSON."""
        named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        client = self.around.service.client
        return await client.request(method, "/saga/send", json=body, headers=named)

    async def events(self, state: str = "") -> list[Document]:
        """What an operator sees of the outbox, newest first."""
        answer = await self.around.service.client.get(
            "/events", params={"state": state} if state else {}
        )
        assert answer.status_code == 200, answer.text
        listed: list[Document] = answer.json()["events"]
        return listed

    async def until_told(self, count: int = 1, seconds: float = 5.0) -> None:
        """Wait until so many events were accepted."""
        await self.around.service.until(lambda: len(self.flow_manager.events) >= count, seconds)


def carried_out(answer: httpx.Response) -> None:
    """Check a whole answer of 200: it is empty."""
    assert (answer.status_code, answer.content) == (200, b""), answer.text
    assert "Content-Type" not in answer.headers
    assert answer.headers["Content-Length"] == "0"


def refused(answer: httpx.Response, status: int, *words: str) -> None:
    """Check a whole error: its shape, and the words that must stand in it."""
    body = answer.json()
    assert (answer.status_code, list(body)) == (status, ["statusCode", "error", "message"])
    assert body["statusCode"] == str(status)
    for word in words:
        assert word in body["message"], body["message"]


def told(at: SagaDesk) -> list[tuple[str, str, JsonValue]]:
    """Every event that was accepted."""
    return [(one.key, one.label, one.payload) for one in at.flow_manager.events]


@asynccontextmanager
async def saga_desk(
    folder: Path,
    *,
    paths: Mapping[str, JsonValue] = PATHS,
    users: Sequence[Document] = (ADA,),
    templates: Sequence[Document] = (),
    flow: Mapping[str, JsonValue] | None = None,
    flow_manager: FlowManager | None = None,
    string_ids: bool = False,
    **changes: JsonValue,
) -> AsyncIterator[SagaDesk]:
    """The service among its neighbours; `flow` are keys of `flowManagerConfiguration`."""
    stand_in = flow_manager or FlowManager()
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(partial(listen, stand_in))
        section: Document = {
            "serviceUrl": server.url,
            "successEventLabel": "done",
            "failEventLabel": "failed",
            "metadataSchema": {**paths},
            **(flow or {}),
        }
        async with neighbourhood(
            folder,
            users=users,
            templates=templates,
            string_ids=string_ids,
            **{"flowManagerConfiguration": section, **changes},  # type: ignore[arg-type]
        ) as around:
            yield SagaDesk(around, stand_in, server)
        nursery.cancel_scope.cancel()
