"""The table of docs/configuration.md on addresses that make a sandbox fail."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from carillon.messages.model import Document
from carillon.providers.sandbox import ENDINGS
from tests.docs.pages import ROOT
from tests.running import running, sandbox_configuration

PAGE: Final = (ROOT / "docs" / "configuration.md").read_text("utf-8")
ROWS: Final = re.findall(r"^\| ([^|]+) \| `(anna\S+)` \| (.+?) \| (.+?) \|$", PAGE, re.MULTILINE)
LIMITS: Final[Document] = {"timeout": "1s", "retry": {"attempts": 2, "firstDelay": "10ms"}}


def said(end: str) -> tuple[str, str]:
    """Outcome and reason of the last column."""
    outcome, *reason = re.findall(r"`([a-z-]+)`", end)
    return (outcome, reason[0]) if outcome == "failed" else (outcome, "unknown-outcome")


def test_it_has_every_address() -> None:
    numbers = [number.strip("`").replace(" ", "")[-5:] for _, _, number, _ in ROWS]
    assert {*numbers} == {*ENDINGS, "none"}


async def test_each_address_comes_to_what_the_table_says(tmp_path: Path) -> None:
    users: list[Document] = [
        {"_id": email, "emailAddress": email, "phoneNumber": number.strip("`")}
        for _, email, number, _ in ROWS
        if number != "none"
    ]
    users += [{"_id": email, "emailAddress": email} for _, email, _, _ in ROWS if "lose" in email]
    names = ("email-sandbox", "sms-sandbox")
    providers: Document = {name: {"type": "sandbox", **LIMITS} for name in names}
    configuration = sandbox_configuration(
        activeChannels=["email", "sms"],
        channels={"email": {"providers": [names[0]]}, "sms": {"providers": [names[1]]}},
        providers=providers,
    )
    async with running(tmp_path, configuration, users=users) as service:
        everybody = [email for _, email, _, _ in ROWS]
        answer = await service.send(channels=["email", "sms"], recipients=everybody)
        assert answer.status_code == 200
        found = service.outcomes()
    expected = {(email, "email"): said(end) for _, email, _, end in ROWS}
    expected |= {(email, "sms"): said(end) for _, email, number, end in ROWS if number != "none"}
    assert len(ROWS) == 6
    assert {key: found[key] for key in expected} == expected
