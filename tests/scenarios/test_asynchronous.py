"""Dispatches that nobody waits for: begun, looked at, cancelled, sent again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest
import trio

from carillon.messages.events import AttemptEnded
from carillon.messages.model import Document
from tests.running import Running, running, sandbox_configuration
from tests.scenarios.test_waiting import NAMES, USERS, slow

TEMPLATE: Document = {"_id": "t", "emailTitle": "T", "emailMessage": "Dear {{user._id}}"}
MIXED: list[Document] = [
    {"_id": "good", "emailAddress": "good@x.test", "phoneNumber": "+390000001"},
    {"_id": "refused", "emailAddress": "a+refuse@x.test", "phoneNumber": "+3900000400"},
    {"_id": "lost", "emailAddress": "a+lose@x.test", "phoneNumber": "+390000002"},
]


async def begin(service: Running, prefer: str = "respond-async", **body: object) -> httpx.Response:
    whole = {"channels": ["email"], "recipients": NAMES, **body}
    if "templateId" not in whole:
        whole = {"messageTitle": "Title", "messageContent": "Content", **whole}
    return await service.client.post("/send", json=whole, headers={"Prefer": prefer})


async def ended(service: Running, address: str) -> dict[str, Any]:
    with trio.fail_after(10):
        while True:
            found: dict[str, Any] = (await service.client.get(address)).json()
            if found["endedAt"] is not None:
                return found
            await trio.sleep(0.01)


async def test_the_answer_is_202_at_once(tmp_path: Path) -> None:
    async with running(tmp_path, slow("300ms"), users=USERS) as service:
        with trio.fail_after(0.25):
            answer = await begin(service)
        assert (answer.status_code, answer.json()) == (202, {"failures": []})
        assert answer.headers["Preference-Applied"] == "respond-async"
        assert answer.headers["Deliveries-Pending"] == "20"
        done = await ended(service, answer.headers["Location"])
    assert (done["state"], done["counts"]["sent"], done["counts"]["pending"]) == ("done", 30, 0)


@pytest.mark.parametrize(("wait", "status"), [(5, 200), (0, 202)])
async def test_a_wait_beside_it_is_kept(wait: int, status: int, tmp_path: Path) -> None:
    async with running(tmp_path, slow("100ms"), users=USERS) as service:
        answer = await begin(service, f"respond-async, wait={wait}")
    assert answer.status_code == status
    assert ("Preference-Applied" in answer.headers) == (status == 202)


async def test_dispatches_are_listed_newest_first_and_by_state(tmp_path: Path) -> None:
    async with running(tmp_path, slow("5s", drain="1ms"), users=USERS) as service:
        begun = [(await begin(service)).headers["Dispatch-Id"] for _ in range(3)]
        none = (await begin(service, "", recipients=[])).headers["Dispatch-Id"]
        await ended(service, f"/dispatches/{none}")
        everything = (await service.client.get("/dispatches")).json()
        assert [one["id"] for one in everything["dispatches"]] == [none, *reversed(begun)]
        assert everything["next"] is None
        first = (await service.client.get("/dispatches?state=running&limit=2")).json()
        rest = await service.client.get(f"/dispatches?state=running&cursor={first['next']}")
        found = [*first["dispatches"], *rest.json()["dispatches"]]
        assert [one["id"] for one in found] == list(reversed(begun))
        for bad in ("state=x", "cursor=x", "limit=0", "cursor=WyJhIl0"):
            assert (await service.client.get(f"/dispatches?{bad}")).status_code == 400, bad


async def test_deliveries_are_filtered_by_reason_and_provider(tmp_path: Path) -> None:
    async with running(tmp_path, users=MIXED) as service:
        answer = await begin(service, "", recipients=["good", "refused", "nobody"])
        address = f"/dispatches/{answer.headers['Dispatch-Id']}/deliveries"

        async def users(query: str) -> list[str]:
            page = (await service.client.get(f"{address}?{query}")).json()
            return sorted(one["userId"] for one in page["deliveries"])

        assert await users("reason=rejected&reason=user-not-found") == ["nobody", "refused"]
        assert await users("provider=email-sandbox") == ["good", "refused"]
        assert await users("reason=accepted&provider=other") == []
        assert (await service.client.get(f"{address}?reason=x")).status_code == 400


def narrow(latency: str = "300ms") -> Document:
    """A configuration that sends five at a time."""
    configuration = slow()
    configuration["providers"] = {
        "email-sandbox": {"type": "sandbox", "concurrency": 5, "options": {"latency": latency}}
    }
    return configuration


async def test_a_cancelled_dispatch_starts_nothing_more(tmp_path: Path) -> None:
    async with running(tmp_path, narrow(), users=USERS) as service:
        address = (await begin(service)).headers["Location"]
        await service.until(lambda: service.sent)
        cancelled = await service.client.delete(address)
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelling")
        done = await ended(service, address)
        assert (await service.client.delete(address)).json() == done  # twice changes nothing
        assert len(service.sent) == 10  # calls that were open ended by themselves
    counts = done["counts"]
    assert (done["state"], counts["sent"], counts["pending"]) == ("cancelled", 10, 0)
    assert counts["cancelled"] >= 10  # what was enrolled; the rest was not read


async def test_what_cannot_be_cancelled_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        answer = await begin(service, "")
        address = f"/dispatches/{answer.headers['Dispatch-Id']}"
        await ended(service, address)
        over = await service.client.delete(address)
        assert (over.status_code, over.json()["message"]) == (409, "The dispatch has ended")
        for name in ("nobody", "%00", "' OR 1=1", "x" * 3000):
            assert (await service.client.delete(f"/dispatches/{name}")).status_code == 404


async def test_a_caller_who_waits_is_answered_when_it_is_cancelled(tmp_path: Path) -> None:
    async with running(tmp_path, narrow(), users=USERS) as service:
        answers: list[httpx.Response] = []

        async def ask() -> None:
            answers.append(await begin(service, ""))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await service.until(lambda: service.sent)
            [one] = (await service.client.get("/dispatches")).json()["dispatches"]
            await service.client.delete(f"/dispatches/{one['id']}")
        [answer] = answers
    errors = {one["error"] for one in answer.json()["failures"]}
    assert errors == {"Cancelled before it was sent"}


def attempts(service: Running) -> int:
    return sum(isinstance(event, AttemptEnded) for event in service.events)


async def redrive(service: Running, address: str, body: object) -> httpx.Response:
    return await service.client.post(f"{address}/redrive", json=body)


async def failed_once(service: Running, **body: object) -> str:
    """The address of an ended dispatch: one was sent, one refused, one is in doubt."""
    everybody = [str(one["_id"]) for one in MIXED]
    answer = await begin(service, "", recipients=everybody, templateId="t", **body)
    address = f"/dispatches/{answer.headers['Dispatch-Id']}"
    await ended(service, address)
    return address


@pytest.mark.parametrize(
    ("body", "number"),
    [
        ({}, 1),
        ({"outcome": "failed"}, 1),
        ({"outcome": ["failed", "in-doubt"]}, 2),
        ({"outcome": "in-doubt", "reason": ["unknown-outcome"]}, 1),
        ({"reason": "rejected", "channel": "email", "provider": "email-sandbox"}, 1),
        ({"reason": "exhausted"}, 0),
        ({"channel": "sms"}, 0),
        ({"provider": "another"}, 0),
    ],
)
async def test_what_matches_every_filter_is_sent_again(
    body: dict[str, object], number: int, tmp_path: Path
) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        address = await failed_once(service)
        before = attempts(service)
        answer = await redrive(service, address, body)
        assert answer.status_code == (202 if number else 200)
        assert answer.json() == {"id": address.rpartition("/")[2], "redriven": number}
        done = await ended(service, address)
        assert attempts(service) == before + number
    assert (done["state"], done["counts"]["pending"]) == ("done", 0)
    assert done["counts"]["sent"] == 1  # the sandbox refuses, and loses, the same ones again


async def test_what_is_mended_is_sent_when_it_is_driven_again(tmp_path: Path) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        address = await failed_once(service)
    mended: Document = {"_id": "refused", "emailAddress": "good@x.test"}
    async with running(tmp_path, users=[mended]) as service:
        assert (await redrive(service, address, {})).json()["redriven"] == 1
        done = await ended(service, address)
        assert [one.address for one in service.sent] == ["good@x.test"]
    assert (done["counts"]["sent"], done["counts"]["failed"]) == (2, 0)


async def test_what_was_erased_cannot_be_sent_again_and_what_is_kept_can(tmp_path: Path) -> None:
    keeping = sandbox_configuration(journal={"keepContent": True})
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        erased = await failed_once(service, data={"order": 1})
        answer = await redrive(service, erased, {})
        assert answer.status_code == 409
        assert "journal.keepContent" in answer.json()["message"]
    async with running(tmp_path, keeping) as service:
        kept = await failed_once(service, data={"order": 1})
        assert (await redrive(service, kept, {})).status_code == 202
        assert (await redrive(service, erased, {})).status_code == 409


async def test_what_runs_cannot_be_driven_again(tmp_path: Path) -> None:
    async with running(tmp_path, slow("2s", drain="1ms"), users=USERS) as service:
        address = (await begin(service)).headers["Location"]
        answer = await redrive(service, address, {})
        assert (answer.status_code, answer.json()["error"]) == (409, "Conflict")


@pytest.mark.parametrize(
    "body",
    [[], "x", {"outcome": "sent"}, {"outcome": "x"}, {"outcome": [1]}, {"reason": {}},
     {"channel": "fax"}, {"provider": 1}, {"userId": "a"}],
)  # fmt: skip
async def test_a_bad_filter_is_refused(body: object, tmp_path: Path) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        address = await failed_once(service)
        before = attempts(service)
        assert (await redrive(service, address, body)).status_code == 400
        assert (await redrive(service, "/dispatches/nobody", {})).status_code == 404
        assert attempts(service) == before
