"""SES in a whole service, from the environment alone."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from carillon.messages.model import Document, JsonValue
from tests.neighbours.http import Answer, Request, json_answer, serve
from tests.running import running

SECRETS: Final = {
    "AWS_REGION": "eu-west-1",
    "AWS_ACCESS_KEY_ID": "hunter2-key",
    "AWS_SECRET_ACCESS_KEY": "hunter2-secret",
    "AWS_SESSION_TOKEN": "hunter2-token",
}
USERS: Final[list[Document]] = [
    {"_id": "u1", "emailAddress": "ada@example.com"},
    {"_id": "u2", "emailAddress": "ada\u00e8@example.com"},
]
QUOTA: Final[JsonValue] = {"Max24HourSend": 50000.0, "MaxSendRate": 14.0}


def configuration(url: str, **keys: JsonValue) -> Document:
    return {
        "activeChannels": ["email"],
        "sender": {"email": "Shop <shop@example.com>"},
        "providers": {"ses": {"url": url, **keys}},
    }


async def ses(request: Request) -> Answer:
    if request.method == "GET":
        return json_answer({"SendQuota": QUOTA})
    return json_answer({"MessageId": "0102-ab"})


async def test_mails_go_over_ses_and_the_start_tells_what_the_account_may_send(
    tmp_path: Path,
) -> None:
    async with (
        serve(ses) as server,
        running(tmp_path, configuration(server.url), users=USERS, environ=SECRETS) as service,
    ):
        sent = await service.send(recipients=["u1", "u2"])
        await service.until(lambda: "limits proposed" in service.log.getvalue())
        shown = await service.client.get("/providers")
        logged = service.log.getvalue()
        lines = service.log_lines
    assert sent.json()["failures"] == [
        {
            "userId": "u2",
            "channel": "email",
            "error": "ses: an address has a local part that is not ASCII; SES carries none",
        }
    ]
    [proposed] = [line for line in lines if line["msg"] == "limits proposed"]
    assert (proposed["provider"], proposed["rate"]) == ("ses", "14/1s,50000/1d")
    assert sorted(request.method for request in server.requests) == ["GET", "POST"]
    for told in (shown.text, logged, sent.text, repr(service.events)):
        assert "hunter2" not in told


@pytest.mark.parametrize("rate", ["14/1s", None])
async def test_an_account_that_does_not_tell_stops_nothing(
    rate: str | None, tmp_path: Path
) -> None:
    keys: Document = {} if rate is None else {"rate": rate}
    denied = json_answer({"message": "no"}, 403, x_amzn_errortype="AccessDeniedException")
    async with (
        serve(denied) as server,
        running(
            tmp_path, configuration(server.url, **keys), users=USERS, environ=SECRETS
        ) as service,
    ):
        if rate is None:
            await service.until(lambda: "limits unknown" in service.log.getvalue())
        assert (await service.client.get("/-/healthz")).status_code == 200
        unknown = [line for line in service.log_lines if line["msg"] == "limits unknown"]
    told = "ses answered 403 AccessDeniedException"
    assert [line["why"] for line in unknown] == ([told] if rate is None else [])
    assert len(server.requests) == len(unknown)
