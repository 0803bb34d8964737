"""When a dispatch is told as running and when as done, as its callers prefer."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
import trio

from tests.running import Running, running, sandbox_configuration
from tests.scenarios.test_asynchronous import begin, ended
from tests.scenarios.test_waiting import NAMES, USERS, slow

BODY = {
    "channels": ["email"],
    "recipients": [*NAMES, "nobody"],
    "messageTitle": "T",
    "messageContent": "C",
}


async def post(service: Running, prefer: str, path: str = "/send") -> httpx.Response:
    headers = {"Idempotency-Key": "k-1", "Prefer": prefer}
    return await service.client.post(path, json=BODY, headers=headers)


@pytest.mark.parametrize("prefer", ["respond-async", "wait=0", "respond-async, wait=0", ""])
async def test_a_repeat_of_what_has_ended_is_a_plain_answer(prefer: str, tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        first = await post(service, "")
        await ended(service, f"/dispatches/{first.headers['Dispatch-Id']}")
        again = await post(service, prefer)
    assert (again.status_code, again.json()) == (200, first.json())
    for name in ("Deliveries-Pending", "Location", "Preference-Applied"):
        assert name not in again.headers


async def test_a_repeat_waits_no_longer_than_the_service_does(tmp_path: Path) -> None:
    configuration = slow("5s", respondWithin="100ms", drain="1ms")
    async with running(tmp_path, configuration, users=USERS) as service:
        await post(service, "respond-async")
        with trio.fail_after(2):
            again = await post(service, "")
            patient = await post(service, "wait=100")
    for answer in (again, patient):
        assert answer.status_code == 200
        assert int(answer.headers["Deliveries-Pending"]) > 0
        assert answer.headers["Location"] == f"/dispatches/{answer.headers['Dispatch-Id']}"
        assert "Preference-Applied" not in answer.headers


async def test_what_is_answered_later_anyway_is_a_202_for_who_prefers_that(tmp_path: Path) -> None:
    configuration = slow("5s", respondWithin="100ms", drain="1ms")
    async with running(tmp_path, configuration, users=USERS) as service:
        answer = await begin(service, "respond-async, wait=100")
    assert answer.status_code == 202
    assert answer.headers["Preference-Applied"] == "respond-async"
    assert answer.headers["Location"] == f"/dispatches/{answer.headers['Dispatch-Id']}"


async def test_nobody_to_send_to_is_a_dispatch_as_well(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        answer = await begin(service, recipients=[])
        done = await ended(service, answer.headers["Location"])
    assert (answer.status_code, answer.headers["Deliveries-Pending"]) == (202, "0")
    assert (done["state"], sum(done["counts"].values())) == ("done", 0)


async def test_a_slash_at_the_end_is_no_other_route(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        first = await post(service, "")
        again = await post(service, "", "/send/")
        assert len(service.sent) == 30
    assert again.headers["Dispatch-Id"] == first.headers["Dispatch-Id"]


async def test_a_refusal_is_told_at_once_whatever_is_preferred(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        answer = await begin(service, "respond-async", channels=["fax"])
    assert answer.status_code == 400
    assert "Location" not in answer.headers


async def test_a_503_is_not_remembered(tmp_path: Path) -> None:
    configuration = sandbox_configuration(limits={"openDispatches": 1}, drain="1ms")
    configuration["providers"] = {
        **{f"{name}-sandbox": {"type": "sandbox"} for name in ("email", "sms", "push")},
        "voice-sandbox": {"type": "sandbox", "options": {"latency": "300ms"}},
    }
    users = [{**USERS[0], "phoneNumber": "+390000001"}, *USERS[1:]]
    async with running(tmp_path, configuration, users=users) as service:
        begun = await begin(service, channels=["voice"], recipients=["u0"])
        busy = await post(service, "")
        assert (busy.status_code, busy.headers["Retry-After"]) == (503, "1")
        await ended(service, begun.headers["Location"])
        later = await post(service, "")
        assert (later.status_code, "Idempotency-Replayed" in later.headers) == (200, False)


@pytest.mark.parametrize(
    "key", ["cl\u00e9", "\u20ac", "a\x7fb", "\U0001f514", '"a" "b"', '"a", "b"', "a\tb"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
async def test_a_key_of_other_letters_is_refused(key: str, encoding: str, tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        headers = [(b"Idempotency-Key", key.encode(encoding, errors="replace") + b"\xa0")]
        answer = await service.client.post("/send", json=BODY, headers=headers)
        assert answer.status_code == 400
        assert "Idempotency-Key" in answer.json()["message"]
        assert service.sent == []
