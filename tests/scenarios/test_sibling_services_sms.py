"""What the SMS service is sent, and how its limits are kept (contracts 1.3)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from messages.model import Document
from tests.neighbours.http import Answer, json_answer, mia_error
from tests.neighbours.sms_service import SmsService
from tests.scenarios.neighbourhood import (
    ADA_ID,
    accepted,
    failure,
    neighbourhood,
    numbered,
    people,
)

ONE: Document = {"concurrency": 1}


async def test_an_sms_is_one_json_call_to_a_normalised_number(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        accepted(await at.send("sms", recipients=[ADA_ID], messageContent="Perché ✉"))
    (call,) = at.calls("sms")
    assert (call.method, call.target) == ("POST", "/send")
    assert call.headers["content-type"] == "application/json"
    assert call.json() == {"sender": "Shop", "receiver": "+393331234567", "body": "Perché ✉"}


NUMBERS = ["+39 333 123 4567", "+39-333-123-4567", "+39.333.1234567", "(+39) [333] 1234567"]


@pytest.mark.parametrize("written", NUMBERS)
async def test_fillers_are_taken_out_of_numbers(written: str, tmp_path: Path) -> None:
    users: list[Document] = [{"_id": ADA_ID, "phoneNumber": written}]
    async with neighbourhood(tmp_path, users=users) as at:
        accepted(await at.send("sms", "voice", recipients=[ADA_ID]))
    assert [sms.receiver for sms in at.sms.messages] == ["+393331234567"]
    assert [call["to"] for call in at.voice.calls] == ["+393331234567"]


async def test_the_sender_of_mails_is_not_that_of_sms(tmp_path: Path) -> None:
    sender: Document = {"email": "a@x.test", "sms": "+391234567", "voice": "+392"}
    async with neighbourhood(tmp_path, sender=sender) as at:
        accepted(await at.send("sms", recipients=[ADA_ID], emailSender="b@x.test"))
    assert at.body("sms")["sender"] == "+391234567"


async def test_success_is_success_whatever_the_body_says(tmp_path: Path) -> None:
    sms = SmsService(json_answer({"status": "failed", "sid": "SM1"}))
    async with neighbourhood(tmp_path, sms=sms) as at:
        accepted(await at.send("sms", recipients=[ADA_ID]))
    assert at.outcomes() == {(ADA_ID, "sms"): ("sent", "accepted")}


STATUSES: list[tuple[Answer, int, str, str]] = [
    (mia_error(400, "body/receiver +39 333 1234567"), 1, "rejected", "body/receiver [address]"),
    (mia_error(404, "x"), 1, "rejected", "x"),
    (mia_error(408, "x"), 2, "exhausted", "x (2 attempts)"),
    (mia_error(425, "x"), 2, "exhausted", "x (2 attempts)"),
    (mia_error(429, "x"), 2, "exhausted", "x (2 attempts)"),
    (mia_error(500, "x"), 2, "exhausted", "x (2 attempts)"),
    (mia_error(503, "x"), 2, "exhausted", "x (2 attempts)"),
    (mia_error(504, "x"), 1, "unknown-outcome", "x"),
]


@pytest.mark.parametrize(("answer", "calls", "reason", "says"), STATUSES)
async def test_statuses_mean_what_they_mean_for_mails(
    answer: Answer, calls: int, reason: str, says: str, tmp_path: Path
) -> None:
    async with neighbourhood(tmp_path, sms=SmsService(answer, answer)) as at:
        error = f"sms-service answered {answer.status}: {says}"
        accepted(await at.send("sms", recipients=[ADA_ID]), failure(ADA_ID, "sms", error))
    assert at.outcomes()[ADA_ID, "sms"][1] == reason
    assert len(at.calls("sms")) == calls


@pytest.mark.parametrize("fault", ["disconnect", "reset", "garbage", "hang"])
async def test_an_sms_that_was_written_and_not_answered_is_never_repeated(
    fault: str, tmp_path: Path
) -> None:
    faults: Sequence[Answer] = [Answer(fault=fault)]  # type: ignore[arg-type]  # one of its literals
    providers: dict[str, Document] = {"sms-service": {"timeout": "80ms"}}
    async with neighbourhood(tmp_path, sms=SmsService(*faults), providers=providers) as at:
        answer = await at.send("sms", recipients=[ADA_ID])
        (entry,) = answer.json()["failures"]
        accepted(answer, failure(ADA_ID, "sms", entry["error"]))
        assert "no answer" in entry["error"]
    assert at.outcomes() == {(ADA_ID, "sms"): ("in-doubt", "unknown-outcome")}
    assert len(at.calls("sms")) == 1


async def test_retry_after_pauses_the_whole_provider_and_costs_no_attempt(tmp_path: Path) -> None:
    sms = SmsService(mia_error(429, "slow down", Retry_After="0.3"))
    async with neighbourhood(
        tmp_path, users=people(4), sms=sms, providers={"sms-service": ONE}
    ) as at:
        accepted(await at.send("sms", clusters=["all"]))
    first, *others = at.calls("sms")
    assert len(others) == 4
    assert first.answered is not None
    assert min(call.arrived for call in others) >= first.answered + 0.28
    assert sorted(at.attempts()) == [1, 1, 1, 2]


async def test_a_pause_holds_the_next_dispatch_too_but_no_other_channel(tmp_path: Path) -> None:
    sms = SmsService(mia_error(503, "later", Retry_After="0.3"))
    async with neighbourhood(tmp_path, users=people(2), sms=sms) as at:
        accepted(await at.send("sms", recipients=[numbered(0)]))
        before = at.calls("sms")[-1].arrived
        assert before >= at.calls("sms")[0].arrived + 0.28
        at.sms.answers.append(mia_error(503, "later", Retry_After="0.3"))
        accepted(await at.send("sms", "email", recipients=[numbered(0), numbered(1)]))
    refusal = at.calls("sms")[2].arrived
    assert max(call.arrived for call in at.calls("mail")) < refusal + 0.28
    assert sum(call.arrived >= refusal + 0.28 for call in at.calls("sms")) >= 1


async def test_two_messages_to_one_number_are_never_under_way_at_once(tmp_path: Path) -> None:
    numbers = ["+39 333 1", "+393331", "+39-3331", "+39 3332", "+39 3333"]
    users: list[Document] = [
        {"_id": numbered(index), "clusters": ["all"], "phoneNumber": number}
        for index, number in enumerate(numbers)
    ]
    async with neighbourhood(tmp_path, users=users, sms=SmsService(holds=0.05)) as at:
        accepted(await at.send("sms", clusters=["all"]))
    assert len(at.sms.messages) == 5
    assert at.sms.most_a_number == 1
    same = [call for call in at.calls("sms") if b"+393331" in call.body]
    for earlier, later in zip(same, same[1:], strict=False):
        assert earlier.answered is not None
        assert later.arrived >= earlier.answered
    others = [call.arrived for call in at.calls("sms") if b"+393331" not in call.body]
    assert max(others) < same[1].arrived + 0.04  # nobody else waits for that number
