"""`/supervisor`: the tree as it is, and a quarantined channel that comes back."""

from __future__ import annotations

from pathlib import Path

import trio

from carillon.api.openapi import child, openapi_document
from carillon.messages.model import Document
from tests.api.test_documentation import check
from tests.running import Running, running, sandbox_configuration

ADA: Document = {"_id": "ada", "phoneNumber": "+39333000111"}
POISON: list[Document] = [
    {"_id": f"p{number}", "phoneNumber": f"+3933{number:02}00500", "clusters": ["bad"]}
    for number in range(12)
]


async def channel(service: Running, name: str) -> Document:
    answer = await service.client.get("/supervisor")
    check(openapi_document("1", ""), "/supervisor", answer)
    found: list[Document] = answer.json()["channels"]
    return next(one for one in found if one["name"] == name)


async def test_a_quiet_service_shows_idle_workers_by_their_number(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        await service.send(channels=["sms"], recipients=[])
        sms = await channel(service, "sms")
    assert sms["state"] == "running"
    assert sms["workerCounts"] == {"idle": 20, "working": 0, "restarting": 0}
    assert sms["workers"] == []
    assert sms["restarts"] == {"recent": 0, "most": 10, "window": "1m", "total": 0}


async def test_a_busy_worker_shows_what_it_holds(tmp_path: Path) -> None:
    slow: Document = {"type": "sandbox", "options": {"latency": "1s"}}
    configuration = sandbox_configuration(
        activeChannels=["sms"],
        providers={"sms-sandbox": slow},
        channels={"sms": {"providers": ["sms-sandbox"]}},
    )
    async with running(tmp_path, configuration, users=[ADA]) as service:
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                await service.send(channels=["sms"], recipients=["ada"])

            nursery.start_soon(send)
            with trio.fail_after(5):
                while not (sms := await channel(service, "sms"))["workers"]:
                    await trio.sleep(0.01)
    [delivery] = service.sent
    assert isinstance(sms["workers"], list)
    assert len(sms["workers"]) == 1
    worker = child(sms["workers"][0])
    assert (worker["deliveryId"], worker["provider"]) == (delivery.id, "sms-sandbox")
    assert (worker["state"], worker["stuck"]) == ("working", False)
    assert isinstance(worker["heldFor"], float)


async def test_a_quarantined_channel_is_revived_and_audited(tmp_path: Path) -> None:
    path = "/supervisor/channels/{channel}/revive"
    async with running(tmp_path, users=[ADA, *POISON]) as service:
        await service.send(channels=["sms"], clusters=["bad"])
        assert (await channel(service, "sms"))["state"] == "quarantined"
        revived = await service.client.post("/supervisor/channels/sms/revive")
        check(openapi_document("1", ""), path, revived, "post")
        after = await service.send(channels=["sms"], recipients=["ada"])
        [entry] = (await service.client.get("/audit")).json()["entries"]
    assert (revived.status_code, revived.json()["state"]) == (200, "running")
    assert revived.json()["restarts"]["recent"] == 0
    assert after.json() == {"failures": []}
    assert (entry["action"], entry["provider"]) == ("revive", None)
    assert entry["before"] == {"channel": "sms", "state": "quarantined"}
    assert entry["after"] == {"channel": "sms", "state": "running"}


async def test_a_channel_that_is_not_there_is_a_404_that_names_the_others(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        answer = await service.client.post("/supervisor/channels/fax/revive")
    assert answer.status_code == 404
    assert "email, sms, push, voice" in answer.json()["message"]
