"""How long a caller is kept waiting, and what goes on without one."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import httpx
import pytest
import trio

from carillon.messages.model import Document, JsonValue
from tests.running import Running, running, sandbox_configuration

USERS: list[Document] = [
    {"_id": f"u{number}", "emailAddress": f"u{number}@x.test"} for number in range(30)
]
NAMES = [str(user["_id"]) for user in USERS]


def slow(latency: str = "300ms", **changes: JsonValue) -> Document:
    configuration = sandbox_configuration(activeChannels=["email"], **changes)
    configuration["channels"] = {"email": {"providers": ["email-sandbox"]}}
    configuration["providers"] = {
        "email-sandbox": {"type": "sandbox", "options": {"latency": latency}}
    }
    return configuration


async def test_everything_accepted_carries_a_dispatch_id(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        answer = await service.send(recipients=NAMES)
    assert str(UUID(answer.headers["Dispatch-Id"])) == answer.headers["Dispatch-Id"]
    for name in ("Deliveries-Pending", "Location", "Failures-Total", "Link"):
        assert name not in answer.headers


async def test_a_long_dispatch_is_answered_in_time_and_goes_on(tmp_path: Path) -> None:
    async with running(tmp_path, slow(respondWithin="100ms"), users=USERS) as service:
        answer = await service.send(recipients=[*NAMES, "nobody"])
        assert answer.status_code == 200
        assert [one["userId"] for one in answer.json()["failures"]] == ["nobody"]
        assert answer.headers["Deliveries-Pending"] == "30"
        address = answer.headers["Location"]
        assert address == f"/dispatches/{answer.headers['Dispatch-Id']}"
        running_still = (await service.client.get(address)).json()
        assert running_still["state"] == "running"
        await service.until(lambda: len(service.sent) == 30)
        await _until_done(service, address)
        done = (await service.client.get(address)).json()
    assert done["counts"] | {"sent": 30, "failed": 1} == done["counts"]
    assert done["counts"]["pending"] == 0


async def _until_done(service: Running, address: str) -> None:
    with trio.fail_after(5):
        while (await service.client.get(address)).json()["state"] != "done":
            await trio.sleep(0.02)


async def test_a_caller_may_prefer_to_wait_less(tmp_path: Path) -> None:
    async with running(tmp_path, slow(), users=USERS) as service:
        body = {"channels": ["email"], "recipients": NAMES, "messageTitle": "T"}
        answer = await service.client.post(
            "/send", json={**body, "messageContent": "C"}, headers={"Prefer": "wait=0"}
        )
        assert answer.status_code == 202
        assert answer.headers["Preference-Applied"] == "wait=0"
        assert "Location" in answer.headers
        assert answer.json() == {"failures": []}
        quick = await service.client.post(
            "/send", json={**body, "messageContent": "C"}, headers={"Prefer": "wait=20"}
        )
        assert quick.status_code == 200
        assert "Location" not in quick.headers


async def test_zero_waits_for_the_last_delivery(tmp_path: Path) -> None:
    async with running(tmp_path, slow("100ms", respondWithin="0s"), users=USERS) as service:
        answer = await service.send(recipients=NAMES)
    assert len(service.sent) == 30
    assert "Deliveries-Pending" not in answer.headers


async def test_deliveries_go_on_when_the_caller_hangs_up(tmp_path: Path) -> None:
    async with running(tmp_path, slow(), users=USERS) as service:
        with pytest.raises(httpx.ReadTimeout):
            async with httpx.AsyncClient(base_url=service.url, timeout=0.15) as client:
                await client.post(
                    "/send",
                    json={
                        "channels": ["email"],
                        "recipients": NAMES,
                        "messageTitle": "T",
                        "messageContent": "C",
                    },
                )
        await service.until(lambda: len(service.sent) == 30)


async def test_failures_in_the_body_are_bounded_and_the_rest_is_linked(tmp_path: Path) -> None:
    configuration = sandbox_configuration(limits={"failures": 3})
    async with running(tmp_path, configuration) as service:
        answer = await service.send(recipients=[f"x{number}" for number in range(250)])
        assert len(answer.json()["failures"]) == 3
        assert answer.headers["Failures-Total"] == "250"
        address = f"/dispatches/{answer.headers['Dispatch-Id']}/deliveries?outcome=failed"
        assert answer.headers["Link"] == f'<{address}>; rel="next"'
        found = await _all_pages(service, address)
    assert sorted(one["userId"] for one in found) == sorted(f"x{n}" for n in range(250))
    assert {one["reason"] for one in found} == {"user-not-found"}


async def _all_pages(service: Running, address: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await service.client.get(f"{address}&cursor={cursor}")).json()
        found += page["deliveries"]
        cursor = page["next"]
    return found


async def test_a_prefix_stands_before_routes_and_addresses(tmp_path: Path) -> None:
    environ = {"SERVICE_PREFIX": "/messaging"}
    configuration = slow(respondWithin="50ms")
    async with running(tmp_path, configuration, users=USERS, environ=environ) as service:
        body = {
            "channels": ["email"],
            "recipients": NAMES,
            "messageTitle": "T",
            "messageContent": "C",
        }
        answer = await service.client.post("/messaging/send", json=body)
        assert answer.headers["Location"].startswith("/messaging/dispatches/")
        assert (await service.client.get(answer.headers["Location"])).status_code == 200
        assert (await service.client.post("/send", json=body)).status_code == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "outcome=lost", "channel=fax"])
async def test_a_bad_question_about_deliveries_is_a_400(query: str, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        answer = await service.send(recipients=["nobody"])
        address = f"/dispatches/{answer.headers['Dispatch-Id']}/deliveries?{query}"
        assert (await service.client.get(address)).status_code == 400


async def test_an_unknown_dispatch_is_a_404(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        for path in ("/dispatches/none", "/dispatches/none/deliveries"):
            answer = await service.client.get(path)
            assert (answer.status_code, answer.json()["statusCode"]) == (404, "404")
