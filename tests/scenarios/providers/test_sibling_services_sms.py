"""What the SMS service is sent, and how its limits are kept (contracts 1.3)."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from carillon.messages.model import Document
from tests.neighbours.http import Answer, json_answer, mia_error, serve
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


async def test_fillers_are_taken_out_of_numbers(tmp_path: Path) -> None:
    users: list[Document] = [
        {"_id": numbered(index), "phoneNumber": written, "clusters": ["all"]}
        for index, written in enumerate(NUMBERS)
    ]
    async with neighbourhood(tmp_path, users=users) as at:
        accepted(await at.send("sms", "voice", clusters=["all"]))
    assert [sms.receiver for sms in at.sms.messages] == ["+393331234567"] * len(NUMBERS)
    assert [call["to"] for call in at.voice.calls] == ["+393331234567"] * len(NUMBERS)


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


async def test_statuses_mean_what_they_mean_for_mails(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        for answer, calls, reason, says in STATUSES:
            before = len(at.calls("sms"))
            at.sms.answers.extend([answer] * calls)
            error = f"sms-service answered {answer.status}: {says}"
            accepted(await at.send("sms", recipients=[ADA_ID]), failure(ADA_ID, "sms", error))
            assert at.outcomes()[ADA_ID, "sms"][1] == reason
            assert len(at.calls("sms")) - before == calls
        assert at.sms.messages == []


FAULTS: dict[str, tuple[Answer, str]] = {
    "disconnect": (Answer(fault="disconnect"), "sms-service: no answer: server disconnected"),
    "reset": (Answer(fault="reset"), "sms-service: no answer: connection lost"),
    "garbage": (Answer(fault="garbage"), "sms-service: no answer: not HTTP"),
    "timeout": (Answer(fault="hang"), "no answer within 0.2 s"),
}


async def test_an_sms_that_was_written_and_not_answered_is_not_repeated(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, providers={"sms-service": {"timeout": "200ms"}}) as at:
        for calls, (answer, error) in enumerate(FAULTS.values(), start=1):
            at.sms.answers.append(answer)
            accepted(await at.send("sms", recipients=[ADA_ID]), failure(ADA_ID, "sms", error))
            assert at.outcomes() == {(ADA_ID, "sms"): ("in-doubt", "unknown-outcome")}
            assert len(at.calls("sms")) == calls


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
    for earlier, later in pairwise(same):
        assert earlier.answered is not None
        assert later.arrived >= earlier.answered
    others = [call.arrived for call in at.calls("sms") if b"+393331" not in call.body]
    assert max(others) < same[2].arrived  # nobody else waits for that number


async def test_waiting_for_a_turn_at_a_number_costs_no_attempt(tmp_path: Path) -> None:
    users: list[Document] = [
        {"_id": numbered(index), "clusters": ["all"], "phoneNumber": "+393331"}
        for index in range(6)
    ]
    providers: dict[str, Document] = {"sms-service": {"timeout": "400ms"}}
    async with neighbourhood(tmp_path, users=users, providers=providers) as at:
        at.sms.answers.extend([Answer(200, delay=0.12)] * 6)
        accepted(await at.send("sms", clusters=["all"]))
    assert at.attempts() == [1] * 6
    assert len(at.calls("sms")) == 6


async def test_a_message_whose_attempts_are_used_up_goes_to_the_next_provider(
    tmp_path: Path,
) -> None:
    backup = SmsService()
    async with serve(backup) as server:
        providers: dict[str, Document] = {
            "sms-backup": {"type": "sms-service", "url": f"{server.url}/v2"}
        }
        channels: Document = {"sms": {"providers": ["sms-service", "sms-backup"]}}
        async with neighbourhood(tmp_path, providers=providers, channels=channels) as at:
            at.sms.answers.extend([Answer(500)] * 2)
            accepted(await at.send("sms", recipients=[ADA_ID]))
            at.sms.answers.append(Answer(504))
            error = "sms-service answered 504"
            accepted(await at.send("sms", recipients=[ADA_ID]), failure(ADA_ID, "sms", error))
        assert [call.target for call in server.requests] == ["/v2/send"]
    assert [sms.receiver for sms in backup.messages] == ["+393331234567"]
    assert len(at.calls("sms")) == 3
