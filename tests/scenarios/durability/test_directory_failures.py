"""What happens when users or templates cannot be read, before and after deliveries have left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from carillon.messages.events import DispatchEnded
from carillon.messages.model import Document
from tests.neighbours.crud import fastify_error
from tests.neighbours.http import Answer
from tests.scenarios.neighbourhood import (
    ADA_ID,
    Neighbourhood,
    accepted,
    neighbourhood,
    numbered,
    people,
    refused,
)

TEMPLATE: Document = {"_id": numbered(77), "smsMessage": "Hi"}
IDS = [numbered(number) for number in range(1400)]
MANY = people(1400, every=40)
PASSING = {
    "500": fastify_error(500, "no database"),
    "503": fastify_error(503, "not now"),
    "disconnect": Answer(fault="disconnect"),
    "reset": Answer(fault="reset"),
    "garbage": Answer(fault="garbage"),
    "half an answer": Answer(200, b'[\n{"_id":"1"}', fault="cut-body", framing="chunked"),
    "not JSON": Answer(200, b"<html>gateway</html>"),
}


async def test_a_passing_failure_is_read_again(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=people(3)) as at:
        for number, (name, answer) in enumerate(PASSING.items(), start=1):
            at.crud.answer_next(answer)
            accepted(await at.send("sms", clusters=["all"]))
            assert len(at.crud.lists) == 2 * number, name
            assert len(at.sms.messages) == 3 * number, name


async def test_a_lasting_failure_is_503_and_sends_nothing(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=people(3)) as at:
        for number, name in enumerate(("500", "disconnect", "half an answer"), start=1):
            at.crud.answer_next(PASSING[name], PASSING[name])
            refused(await at.send("email", "sms", clusters=["all"]), 503, "CRUD")
            assert at.silent, name
            assert len(at.crud.lists) == 2 * number, name
        accepted(await at.send("sms", clusters=["all"]))
    assert len(at.sms.messages) == 3


async def test_a_cut_page_within_the_first_thousand_sends_nothing(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=people(600, every=100)) as at:
        for documents in (0, 199):
            at.crud.cut_after(200)
            at.crud.cut_after(documents)
            refused(await at.send("sms", clusters=["all"]), 503)
        assert len(at.crud.lists) == 4
        assert at.silent


@pytest.mark.parametrize("how", ["clusters", "recipients"])
async def test_the_first_thousand_are_read_before_anything_leaves(how: str, tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=MANY, directory={"attempts": 1}) as at:
        for good in (0, 1, 4):
            at.crud.good = len(at.crud.lists) + good
            answer = await at.send("sms", **{how: ["all"] if how == "clusters" else IDS})
            refused(answer, 503)
            assert len(at.crud.lists) == at.crud.good + 1
        assert at.silent


async def test_directory_attempts_counts_the_reads(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=people(1), directory={"attempts": 1}) as at:
        at.crud.fail_next()
        refused(await at.send("sms", clusters=["all"]), 503)
        assert len(at.crud.lists) == 1


async def test_a_directory_that_does_not_answer_in_time_is_503(tmp_path: Path) -> None:
    patience: Document = {"timeout": "50ms", "attempts": 2}
    async with neighbourhood(tmp_path, users=people(1), directory=patience) as at:
        hang = Answer(fault="hang")
        at.crud.answer_next(hang, hang, hang)
        refused(await at.send("sms", clusters=["all"]), 503)
        accepted(await at.send("sms", clusters=["all"]))  # the second read is in time
    assert len(at.sms.messages) == 1


async def test_a_directory_that_is_not_there_is_503(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        at.crud.stop()
        refused(await at.send("sms", recipients=[ADA_ID]), 503, "CRUD")
        refused(await at.send("sms", recipients=[ADA_ID], templateId=numbered(77)), 503, "CRUD")
        accepted(await at.send("sms", recipients=[]))
        assert at.silent


async def test_a_template_is_read_again_and_then_503(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=people(1), templates=[TEMPLATE]) as at:
        body = {"recipients": [numbered(0)], "templateId": numbered(77)}
        at.crud.fail_next()
        accepted(await at.send("sms", **body))
        at.crud.fail_next(2)
        refused(await at.send("sms", **body), 503)
        assert len(at.sms.messages) == 1


def sent(at: Neighbourhood) -> tuple[Sequence[str], Sequence[str]]:
    """Who got a mail, and who an SMS."""
    mails = sorted(mail.recipients[0] for mail in at.mail.mails)
    return mails, sorted(message.receiver for message in at.sms.messages)


def expected(count: int) -> tuple[Sequence[str], Sequence[str]]:
    """The same of the first so many of MANY."""
    having = range(0, count, 40)
    mails = sorted(f"u{number}@example.com" for number in having)
    return mails, [f"+39333{number:07}" for number in having]


@pytest.mark.parametrize("whom", [{"recipients": IDS}, {"clusters": ["all"]}])
async def test_a_dispatch_stays_open_while_the_directory_is_away_and_goes_on_by_itself(
    whom: dict[str, object], tmp_path: Path
) -> None:
    async with neighbourhood(tmp_path, users=MANY, respondWithin="500ms") as at:
        at.crud.good = 6
        early = await at.send("email", "sms", **whom)
        assert (early.status_code, early.json()) == (200, {"failures": []})
        assert early.headers["Location"] == f"/dispatches/{early.headers['Dispatch-Id']}"
        assert "Deliveries-Pending" in early.headers
        assert 1000 < len(at.outcomes()) / 2 < 1400
        at.crud.good = float("inf")
        await at.service.until(lambda: DispatchEnded in map(type, at.service.events))
    assert sent(at) == expected(1400)
    assert {outcome for outcome, _ in at.outcomes().values()} == {"sent", "skipped"}


async def test_the_first_thousand_are_sent_however_many_pages_they_took(tmp_path: Path) -> None:
    codes = [f"{number:04}-{'x' * 75}" for number in range(1000)]
    users: list[Document] = [
        {**user, "code": code} for user, code in zip(people(1000, every=40), codes, strict=True)
    ]
    async with neighbourhood(tmp_path, users=users, userFields={"id": "code"}) as at:
        at.crud.is_down = lambda: bool(at.service.events)  # from DispatchAccepted on
        accepted(await at.send("sms", recipients=codes))
    assert sent(at)[1] == expected(1000)[1]


async def test_a_later_page_that_fails_once_is_read_again(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=MANY) as at:
        at.crud.good = 6
        at.crud.faults = 1
        accepted(await at.send("email", "sms", clusters=["all"]))
    assert sent(at) == expected(1400)
    assert len(at.crud.lists) == 9
