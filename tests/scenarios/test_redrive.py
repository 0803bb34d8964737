"""Driving dispatches again where it is easily done wrong: at once, too early, with little left."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio

from carillon.messages.model import Document, JsonValue
from tests.neighbours.http import mia_error
from tests.neighbours.sms_service import SmsService
from tests.running import Running, running, sandbox_configuration
from tests.scenarios.neighbourhood import ADA_ID
from tests.scenarios.sagas.saga_desk import TEXT, saga_desk, told
from tests.scenarios.test_asynchronous import (
    MIXED,
    TEMPLATE,
    attempts,
    begin,
    ended,
    failed_once,
    narrow,
    redrive,
)
from tests.scenarios.test_waiting import USERS

REFUSED: list[Document] = [
    {"_id": f"u{number}", "emailAddress": f"u{number}+refuse@x.test", "clusters": ["all"]}
    for number in range(30)
]


async def at_once(*asked: Callable[[], Awaitable[httpx.Response]]) -> list[httpx.Response]:
    """The answers to questions that are asked at the same time."""
    answers: list[httpx.Response] = []

    async def ask(one: Callable[[], Awaitable[httpx.Response]]) -> None:
        answers.append(await one())

    async with trio.open_nursery() as nursery:
        for one in asked:
            nursery.start_soon(ask, one)
    return answers


async def test_two_at_once_send_each_delivery_once(tmp_path: Path) -> None:
    async with running(tmp_path, users=[*MIXED, *REFUSED], templates=[TEMPLATE]) as service:
        address = await failed_once(service)
        before = attempts(service)
        bodies: list[dict[str, str]] = [{"outcome": "failed"}, {"outcome": "in-doubt"}] * 4
        answers = await at_once(*(partial(redrive, service, address, body) for body in bodies))
        driven = sum(answer.json()["redriven"] for answer in answers if answer.is_success)
        assert {answer.status_code for answer in answers} <= {200, 202, 409}
        done = await ended(service, address)
        assert attempts(service) == before + driven
    assert (done["state"], sum(done["counts"].values())) == ("done", 3)


# httpx leaves a generator behind when it is cancelled while it reads.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_caller_who_hangs_up_has_driven_it_again_or_not(tmp_path: Path) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        address = await failed_once(service)
        for delay in (0.0, 0.001, 0.003, 0.01):
            with trio.move_on_after(delay):
                await redrive(service, address, {})
            assert (await ended(service, address))["state"] == "done"
    gc.collect()


async def test_a_dispatch_of_which_all_was_sent_has_nothing_to_send_again(tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        answer = await begin(service, "")
        address = f"/dispatches/{answer.headers['Dispatch-Id']}"
        await ended(service, address)
        none = await redrive(service, address, {})
    assert (none.status_code, none.json()["redriven"]) == (200, 0)


@pytest.mark.parametrize(
    "body", [{"outcome": []}, {"reason": []}, {"outcome": [None]}, {"reason": [None, "rejected"]}]
)
async def test_a_list_that_names_nothing_does_not_mean_everything(
    body: dict[str, object], tmp_path: Path
) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        address = await failed_once(service)
        before = attempts(service)
        answer = await redrive(service, address, body)
        assert answer.status_code == 400
        assert next(iter(body)) in answer.json()["message"]
        assert attempts(service) == before


async def test_what_was_cancelled_is_sent_when_it_is_named(tmp_path: Path) -> None:
    async with running(tmp_path, narrow(), users=USERS, templates=[TEMPLATE]) as service:
        address = (await begin(service, templateId="t")).headers["Location"]
        await service.until(lambda: service.sent)
        await service.client.delete(address)
        cancelled = (await ended(service, address))["counts"]["cancelled"]
        nothing = await redrive(service, address, {})
        answer = await redrive(service, address, {"outcome": "cancelled"})
        assert (nothing.json()["redriven"], answer.json()["redriven"]) == (0, cancelled)
        done = await ended(service, address)
        assert len({one.user_id for one in service.sent}) == len(service.sent)
    assert (done["state"], done["counts"]["cancelled"]) == ("cancelled", 0)


async def test_members_of_a_cluster_are_sent_again_and_no_others(tmp_path: Path) -> None:
    async with running(tmp_path, users=REFUSED, templates=[TEMPLATE]) as service:
        answer = await begin(service, "", recipients=[], clusters=["all"], templateId="t")
        address = f"/dispatches/{answer.headers['Dispatch-Id']}"
        await ended(service, address)
    newcomer: Document = {"_id": "new", "emailAddress": "new@x.test", "clusters": ["all"]}
    mended: list[Document] = [{**user, "emailAddress": "now@x.test"} for user in REFUSED[:10]]
    async with running(tmp_path, users=[newcomer, *mended]) as service:
        assert (await redrive(service, address, {})).json()["redriven"] == 30
        done = await ended(service, address)
        assert len(service.sent) == 10
    assert (done["counts"]["sent"], done["counts"]["failed"]) == (10, 20)


async def test_a_deadline_is_over_for_the_first_time_only(tmp_path: Path) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        past = "2020-01-01T00:00:00Z"
        body: dict[str, object] = {"recipients": ["good"], "templateId": "t", "expiresAt": past}
        answer = await begin(service, "", **body)
        address = f"/dispatches/{answer.headers['Dispatch-Id']}"
        assert (await ended(service, address))["counts"]["expired"] == 1
        assert (await redrive(service, address, {"outcome": "expired"})).status_code == 202
        done = await ended(service, address)
    assert (done["counts"]["sent"], done["counts"]["expired"]) == (1, 0)


@pytest.mark.parametrize("name", ["emailCarbonCopies", "emailBlindCarbonCopies"])
async def test_addresses_of_a_request_are_erased_with_its_texts(name: str, tmp_path: Path) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        address = await failed_once(service, **{name: ["boss@x.test"]})
        answer = await redrive(service, address, {})
        nobody = await failed_once(service, **{name: []})
        assert (await redrive(service, nobody, {})).status_code == 202
    assert answer.status_code == 409
    with closing(sqlite3.connect(tmp_path / "carillon.db")) as store:
        texts = [text for (text,) in store.execute("SELECT text FROM request")]
    assert len(texts) == 1
    assert "boss@x.test" not in texts[0]


async def test_as_many_are_worked_on_as_the_limit_allows(tmp_path: Path) -> None:
    latency: JsonValue = {"type": "sandbox", "options": {"latency": "300ms"}}
    configuration = sandbox_configuration(limits={"openDispatches": 1})
    configuration["providers"] = {
        **{f"{name}-sandbox": {"type": "sandbox"} for name in ("email", "push", "voice")},
        "sms-sandbox": latency,
    }
    async with running(tmp_path, configuration, users=MIXED, templates=[TEMPLATE]) as service:
        address = await failed_once(service)
        await begin(service, channels=["sms"], recipients=["good"])
        busy = await redrive(service, address, {})
        assert (busy.status_code, busy.headers["Retry-After"]) == (503, "1")
        assert await counts(service, address) == {"sent": 1, "failed": 1, "in-doubt": 1}


async def counts(service: Running, address: str) -> dict[str, int]:
    """The outcomes that there are."""
    found: dict[str, int] = (await service.client.get(address)).json()["counts"]
    return {outcome: number for outcome, number in found.items() if number}


async def test_a_saga_is_told_once_however_often_it_is_driven_again(tmp_path: Path) -> None:
    payload: Document = {"channels": "sms", "recipients": [ADA_ID, "nobody"], **TEXT}
    keeping: Document = {"keepContent": True}
    sms = SmsService(mia_error(400, "no"), mia_error(400, "no"))
    async with saga_desk(tmp_path, sms=sms, journal=keeping) as at:  # type: ignore[arg-type]
        answer = await at.command("S-1", payload)
        service, address = at.around.service, f"/dispatches/{answer.headers['Dispatch-Id']}"
        await ended(service, address)
        for sent in (0, 1):
            again = await redrive(service, address, {"reason": ["rejected"]})
            assert again.json()["redriven"] == 1
            assert (await ended(service, address))["counts"]["sent"] == sent
        assert [one["state"] for one in await at.events()] == ["accepted"]
    assert told(at) == [("S-1", "done", {})]


async def audit(service: Running) -> list[tuple[str, Document]]:
    """Actions and what they came to, newest first."""
    entries = (await service.client.get("/audit")).json()["entries"]
    return [(one["action"], one["after"]) for one in entries]


async def test_a_redrive_that_is_refused_does_not_stand_in_the_audit(tmp_path: Path) -> None:
    configuration = sandbox_configuration(limits={"openDispatches": 1})
    async with running(tmp_path, configuration, users=MIXED, templates=[TEMPLATE]) as service:
        erased = await failed_once(service, data={"name": "x"})
        assert (await redrive(service, erased, {})).status_code == 409
        kept = await failed_once(service)
        assert (await redrive(service, kept, {"outcome": "expired"})).status_code == 200
        assert (await redrive(service, kept, {"outcome": "sent"})).status_code == 400
        assert (await redrive(service, "/dispatches/nobody", {})).status_code == 404
        await service.client.patch("/providers/email-sandbox", json={"paused": True})
        busy = (await begin(service, recipients=["good"])).headers["Location"]
        assert (await redrive(service, kept, {})).status_code == 503
        assert (await redrive(service, busy, {})).status_code == 409
        assert [action for action, _ in await audit(service)] == ["change"]


async def test_who_cancels_or_drives_again_stands_in_the_audit(tmp_path: Path) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        address = await failed_once(service)
        await redrive(service, address, {"outcome": "failed"})
        await ended(service, address)
        await service.client.patch("/providers/email-sandbox", json={"paused": True})
        other = (await begin(service, recipients=["good"])).headers["Location"]
        assert (await service.client.delete(other)).status_code == 200
        entries = (await service.client.get("/audit")).json()["entries"]
    told = [(one["action"], one["who"], one["after"]) for one in entries]
    identity, another = address.rpartition("/")[2], other.rpartition("/")[2]
    assert told[0] == ("cancel", "loopback", {"dispatch": another, "state": "cancelled"})
    assert told[2] == ("redrive", "loopback", {"dispatch": identity, "outcome": ["failed"]})
