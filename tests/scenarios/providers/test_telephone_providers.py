"""Twilio and Vonage in a whole service: from the environment alone, and one for the other."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from carillon.messages.events import BreakerMoved
from carillon.messages.model import Document
from tests.neighbours.http import Answer, Request, json_answer, serve
from tests.running import running

SECRETS: Final = {
    "TWILIO_ACCOUNT_SID": "AC" + "0a" * 16,
    "TWILIO_AUTH_TOKEN": "hunter2-token",
    "VONAGE_API_KEY": "hunter2-key",
    "VONAGE_API_SECRET": "hunter2-secret",
}
USERS: Final[list[Document]] = [
    {"_id": f"u{number}", "phoneNumber": f"+3933312345{number:02}"} for number in range(12)
]
QUICK: Final[Document] = {
    "retry": {"attempts": 2, "firstDelay": "10ms", "maxDelay": "10ms"},
    "breaker": {"failures": 3, "cooldown": "1m"},
    "concurrency": 1,
}


def configuration(twilio: str, vonage: str) -> Document:
    return {
        "activeChannels": ["sms", "voice"],
        "sender": {"sms": "Shop", "voice": "+390212345678"},
        "providers": {"twilio": {"url": twilio, **QUICK}, "vonage": {"url": vonage, **QUICK}},
    }


async def vonage(request: Request) -> Answer:
    """Refuses one number, and takes the others."""
    if request.form()["to"] == ["393331234507"]:
        return json_answer({"messages": [{"status": "7", "error-text": "Number Barred"}]})
    return json_answer({"messages": [{"status": "0", "message-id": request.form()["to"][0]}]})


async def test_a_suspended_account_leaves_the_work_to_the_next_provider(tmp_path: Path) -> None:
    suspended = json_answer({"code": 20005, "message": "Account not active"}, 401)
    ids = [str(user["_id"]) for user in USERS]
    async with (
        serve(suspended) as first,
        serve(vonage) as second,
        running(
            tmp_path, configuration(first.url, second.url), users=USERS, environ=SECRETS
        ) as service,
    ):
        sent = await service.send(channels=["sms"], recipients=ids)
        shown = await service.client.get("/providers")
        logged = service.log.getvalue()
    assert sent.json()["failures"] == [
        {"userId": "u7", "channel": "sms", "error": "vonage: status 7: Number Barred"}
    ]
    opened = [one for one in service.events if isinstance(one, BreakerMoved)]
    assert [(one.provider, one.state) for one in opened] == [("twilio", "open")]
    assert len(first.requests) == 3
    assert len(second.requests) == len(USERS)
    for told in (shown.text, logged, sent.text, repr(service.events)):
        assert "hunter2" not in told
        assert SECRETS["TWILIO_ACCOUNT_SID"] not in told


async def test_calls_go_over_twilio_as_soon_as_the_environment_names_an_account(
    tmp_path: Path,
) -> None:
    taken = json_answer({"sid": "CA1", "status": "queued"}, 201)
    async with (
        serve(taken) as server,
        running(
            tmp_path, configuration(server.url, server.url), users=USERS, environ=SECRETS
        ) as service,
    ):
        sent = await service.send(channels=["voice"], recipients=["u1"])
    assert sent.json() == {"failures": []}
    [request] = server.requests
    assert request.form()["From"] == ["+390212345678"]
    assert request.form()["Twiml"] == ["<Response><Say>Content</Say></Response>"]
