"""One user's document, or one bug, ends nothing but what it concerns, and leaves no loop behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from carillon.dispatches.feed import Pages
from carillon.messages.model import Cursor, Document, Page
from tests.running import Running, running, sandbox_configuration
from tests.scenarios.test_asynchronous import begin, ended

HUGE = int("9" * 309)
TEMPLATE: Document = {"_id": "t", "smsMessage": "Hello {{#with user.number}}{{this}}{{/with}}"}


def people(count: int, **of_the_fifth: int) -> list[Document]:
    return [
        {
            "_id": f"u{at:04}",
            "phoneNumber": f"+3933312{at:04}7",
            "clusters": ["all"],
            **(of_the_fifth if at == 5 else {}),
        }
        for at in range(count)
    ]


async def deliveries(service: Running, address: str, query: str) -> list[dict[str, object]]:
    answer = await service.client.get(f"{address}/deliveries?{query}")
    found: list[dict[str, object]] = answer.json()["deliveries"]
    return found


async def test_a_number_of_309_digits_fails_one_delivery(tmp_path: Path) -> None:
    users = people(2500, number=HUGE)
    async with running(tmp_path, users=users, templates=[TEMPLATE]) as service:
        answer = await service.send(channels=["sms"], clusters=["all"], templateId="t")
        assert answer.status_code == 200
        assert answer.json()["failures"] == [
            {"userId": "u0005", "channel": "sms", "error": "Internal error while composing"}
        ]
        told = await ended(service, f"/dispatches/{answer.headers['Dispatch-Id']}")
        assert (told["state"], told["counts"]["sent"]) == ("done", 2499)
        assert told["audience"] == {"read": 2500, "total": 2500, "complete": True}
        [failed] = await deliveries(service, f"/dispatches/{told['id']}", "outcome=failed")
        assert failed["reason"] == "crashed"
        [line] = [one for one in service.log_lines if one["msg"] == "delivery crashed"]
        assert line["deliveryId"] == failed["id"]
        assert str(HUGE) not in service.log.getvalue()


async def test_a_bug_while_users_are_read_ends_the_dispatch_once_and_for_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Pages.at

    async def breaks(self: Pages, cursor: Cursor) -> Page:
        if (cursor.after or "") > "u1400":  # behind what is read before it is accepted
            raise TypeError("a bug")
        return await at(self, cursor)

    with monkeypatch.context() as patched:
        patched.setattr(Pages, "at", breaks)
        async with running(tmp_path, users=people(3000)) as service:
            answer = await begin(service, channels=["sms"], recipients=[], clusters=["all"])
            address = f"/dispatches/{answer.headers['Dispatch-Id']}"
            told = await ended(service, address)
            cancelled = await service.client.delete(address)
    assert (told["state"], told["audience"]["complete"]) == ("crashed", False)
    assert told["reason"] == "An internal error cut it short; the log has the details"
    assert told["counts"]["pending"] == 0
    assert cancelled.status_code == 409
    async with running(tmp_path) as service:
        assert (await service.client.get(address)).json() == told
        assert not [one for one in service.log_lines if one["msg"].startswith("dispatch ")]  # type: ignore[attr-defined]


async def test_what_cannot_go_on_at_the_next_start_ends_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    stuck = sandbox_configuration(drain="1ms")
    async with running(tmp_path, stuck, users=people(50)) as service:
        await service.client.patch("/providers/sms-sandbox", json={"paused": True})
        answer = await begin(service, channels=["sms"], recipients=[], clusters=["all"])
        address = answer.headers["Location"]
    with monkeypatch.context() as patched:
        patched.setattr("carillon.dispatches.planner._expiry", None)
        async with running(tmp_path, stuck) as service:
            told = await ended(service, address)
    assert (told["state"], told["counts"]["pending"]) == ("crashed", 0)
    assert told["counts"]["failed"] > 0
    async with running(tmp_path, stuck) as service:
        assert (await service.client.get(address)).json() == told
        assert service.sent == []
