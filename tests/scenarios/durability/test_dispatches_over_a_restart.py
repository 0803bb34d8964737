"""What was cancelled, driven again or not waited for, when the service stops meanwhile."""

from __future__ import annotations

from pathlib import Path

from carillon.messages.model import Document
from tests.running import Running, running, sandbox_configuration
from tests.scenarios.test_asynchronous import MIXED, TEMPLATE, begin, ended, failed_once, redrive
from tests.scenarios.test_waiting import USERS, slow

CROWD: list[Document] = [
    {
        "_id": f"u{number:04}",
        "emailAddress": f"u{number}@x.test",
        "phoneNumber": f"+39333{number:06}1",
        "clusters": ["all"],
    }
    for number in range(900)
]
PEOPLE: list[Document] = [{**user, "clusters": ["all"]} for user in USERS]


def stuck() -> Document:
    """A configuration whose calls last longer than its patience at the end."""
    return slow("30s", drain="1ms")


async def open_calls(service: Running, number: int) -> None:
    """Wait until so many calls are open."""
    while True:
        told = (await service.client.get("/providers/email-sandbox")).json()
        if told["inFlight"] == number:
            return


async def test_what_was_cancelled_stays_so(tmp_path: Path) -> None:
    async with running(tmp_path, stuck(), users=PEOPLE) as service:
        answer = await begin(service, recipients=[], clusters=["all"])
        await open_calls(service, 20)
        cancelled = await service.client.delete(answer.headers["Location"])
        assert (cancelled.json()["state"], cancelled.json()["endedAt"]) == ("cancelling", None)
    async with running(tmp_path) as service:
        done = await ended(service, answer.headers["Location"])
        assert service.sent == []
    counts = done["counts"]
    assert (done["state"], counts["in-doubt"], counts["pending"]) == ("cancelled", 20, 0)
    assert counts["in-doubt"] + counts["cancelled"] <= 30


async def test_what_is_driven_again_goes_on_at_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path, users=MIXED, templates=[TEMPLATE]) as service:
        address = await failed_once(service)
    mended: list[Document] = [{**user, "emailAddress": "now@x.test"} for user in MIXED]
    async with running(tmp_path, stuck(), users=mended) as service:
        assert (await redrive(service, address, {"outcome": ["failed", "in-doubt"]})).is_success
        await open_calls(service, 2)
        assert (await redrive(service, address, {})).status_code == 409
    async with running(tmp_path) as service:
        done = await ended(service, address)
        assert (done["counts"]["sent"], done["counts"]["in-doubt"]) == (1, 2)  # held, not doubled
        assert (await redrive(service, address, {"outcome": "in-doubt"})).json()["redriven"] == 2
        assert (await ended(service, address))["counts"]["sent"] == 3
        deliveries = (await service.client.get(f"{address}/deliveries")).json()["deliveries"]
    assert [one["outcome"] for one in deliveries] == ["sent"] * 3


async def test_what_nobody_waits_for_goes_on_at_the_next_start(tmp_path: Path) -> None:
    async with running(tmp_path, stuck(), users=PEOPLE) as service:
        await service.client.patch("/providers/email-sandbox", json={"paused": True})
        answer = await begin(service, recipients=[], clusters=["all"])
        assert answer.status_code == 202
    async with running(tmp_path) as service:
        await service.client.delete("/providers/email-sandbox/override")
        done = await ended(service, answer.headers["Location"])
        assert len(service.sent) == 30
    assert (done["state"], done["counts"]["sent"]) == ("done", 30)


async def test_a_key_goes_with_a_paused_dispatch(tmp_path: Path) -> None:
    body = {"channels": ["email"], "clusters": ["all"], "templateId": "t"}
    headers = {"Idempotency-Key": "k", "Prefer": "respond-async"}
    async with running(tmp_path, stuck(), users=PEOPLE, templates=[TEMPLATE]) as service:
        await service.client.patch("/providers/email-sandbox", json={"paused": True})
        first = await service.client.post("/send", json=body, headers=headers)
    async with running(tmp_path) as service:
        again = await service.client.post("/send", json=body, headers=headers)
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
        assert int(again.headers["Deliveries-Pending"]) > 0
        await service.client.delete("/providers/email-sandbox/override")
        patient = await service.client.post("/send", json=body, headers={"Idempotency-Key": "k"})
        assert (patient.status_code, patient.json()) == (200, {"failures": []})
        assert len(service.sent) == 30
    ids = {one.headers["Dispatch-Id"] for one in (first, again, patient)}
    assert len(ids) == 1


async def test_a_channel_that_is_active_no_more_is_told_to_everybody(tmp_path: Path) -> None:
    """Also to those who had not been read when the service stopped."""
    async with running(tmp_path, sandbox_configuration(drain="1ms"), users=CROWD) as service:
        for name in ("email", "sms"):
            await service.client.patch(f"/providers/{name}-sandbox", json={"paused": True})
        answer = await begin(service, channels=["email", "sms"], recipients=[], clusters=["all"])
    narrowed = sandbox_configuration(activeChannels=["email"])
    narrowed["channels"] = {"email": {"providers": ["email-sandbox"]}}
    async with running(tmp_path, narrowed) as service:
        await service.client.delete("/providers/email-sandbox/override")
        done = await ended(service, answer.headers["Location"])
        assert len(service.sent) == len(CROWD)
        told = await service.client.get(
            f"{answer.headers['Location']}/deliveries?outcome=failed&limit=1"
        )
    assert (done["counts"]["sent"], done["counts"]["failed"]) == (len(CROWD), len(CROWD))
    [failure] = told.json()["deliveries"]
    assert failure["error"] == "The sms channel is not active any more"


async def test_a_file_that_is_gone_is_told_to_everybody_and_only_for_mails(tmp_path: Path) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "offer.txt").write_text("an offer")
    environ = {"FILES_DIRECTORY": str(files)}
    configuration = sandbox_configuration(drain="1ms", journal={"keepContent": False})
    async with running(tmp_path, configuration, users=CROWD, environ=environ) as service:
        for name in ("email", "sms"):
            await service.client.patch(f"/providers/{name}-sandbox", json={"paused": True})
        answer = await begin(
            service,
            channels=["email", "sms"],
            recipients=[],
            clusters=["all"],
            emailAttachments=["offer.txt"],
        )
    (files / "offer.txt").unlink()
    async with running(tmp_path, configuration, environ=environ) as service:
        for name in ("email", "sms"):
            await service.client.delete(f"/providers/{name}-sandbox/override")
        done = await ended(service, answer.headers["Location"])
        assert {one.channel for one in service.sent} == {"sms"}
    assert (done["counts"]["sent"], done["counts"]["failed"]) == (len(CROWD), len(CROWD))
