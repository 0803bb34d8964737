"""Crashing workers seen from outside: nobody else suffers, and readiness tells."""

from __future__ import annotations

from pathlib import Path

from carillon.messages.model import Document
from tests.running import running

POISON: Document = {"_id": "poison", "phoneNumber": "+39333000500", "clusters": ["all"]}
USERS: list[Document] = [
    {
        "_id": f"u{number}",
        "emailAddress": f"u{number}@x.test",
        "phoneNumber": f"+39333{number:04}11",
        "clusters": ["all"],
    }
    for number in range(1, 30)
]


async def test_a_poison_message_fails_alone(tmp_path: Path) -> None:
    async with running(tmp_path, users=[*USERS, POISON]) as service:
        answer = await service.send(channels=["sms", "email"], clusters=["all"])
        ready = await service.client.get("/-/ready")
    assert [one["userId"] for one in answer.json()["failures"]] == ["poison"]
    assert service.outcomes()["poison", "sms"] == ("failed", "crashed")
    assert len(service.sent) == 58
    assert ready.json()["channels"]["sms"] == "running"


async def test_a_channel_that_crashes_again_and_again_is_quarantined_and_seen(
    tmp_path: Path,
) -> None:
    poison: list[Document] = [
        {"_id": f"p{number}", "phoneNumber": f"+3933{number:02}00500", "clusters": ["bad"]}
        for number in range(12)
    ]
    async with running(tmp_path, users=[*USERS, *poison]) as service:
        first = await service.send(channels=["sms"], clusters=["bad"])
        assert len(first.json()["failures"]) == 12
        ready = await service.client.get("/-/ready")
        assert ready.status_code == 200
        assert ready.json()["channels"] == {
            "email": "running",
            "sms": "quarantined",
            "push": "running",
            "voice": "running",
        }
        answer = await service.send(channels=["sms", "email"], recipients=["u1"])
        metrics = (await service.client.get("/-/metrics")).text
    assert [one["channel"] for one in answer.json()["failures"]] == ["sms"]
    assert service.outcomes()["u1", "sms"] == ("failed", "channel-down")
    assert service.outcomes()["u1", "email"] == ("sent", "accepted")
    assert 'carillon_channel_quarantined{channel="sms"} 1.0' in metrics
