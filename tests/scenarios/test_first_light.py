"""One request, one user, one message: the thin whole path over a socket."""

from __future__ import annotations

from pathlib import Path

from carillon.messages.model import Document, EmailContent
from tests.running import running


async def test_a_message_reaches_a_user(tmp_path: Path) -> None:
    ada: Document = {"_id": "ada", "name": "Ada", "emailAddress": "ada@example.com"}
    async with running(tmp_path, users=[ada]) as service:
        answer = await service.send(
            recipients=["ada"], messageTitle="Hi", messageContent="Hello {{user.name}}"
        )
    assert (answer.status_code, answer.json()) == (200, {"failures": []})
    [delivery] = service.sent
    assert delivery.address == "ada@example.com"
    assert delivery.content == EmailContent("Hi", text="Hello Ada")
