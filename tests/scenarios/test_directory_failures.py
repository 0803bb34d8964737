"""What happens when users or templates cannot be read, before and after deliveries have left."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from messages.model import Document
from tests.neighbours.crud import fastify_error
from tests.neighbours.http import Answer
from tests.scenarios.neighbourhood import (
    ADA_ID,
    UNAVAILABLE,
    Neighbourhood,
    accepted,
    asked_ids,
    failure,
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


async def test_listed_ids_that_could_not_be_read_fail_one_by_one(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=MANY) as at:
        at.crud.good = 7
        answer = await at.send("email", "sms", recipients=IDS)
        read = len([one for query in at.crud.queries[:7] for one in asked_ids(query)])
    assert 1000 < read < 1400
    accepted(
        answer,
        *(failure(name, "email", UNAVAILABLE) for name in IDS[read:]),
        *(failure(name, "sms", UNAVAILABLE) for name in IDS[read:]),
    )
    assert sent(at) == expected(read)
    outcomes = at.outcomes()
    assert len(outcomes) == 2800
    for channel in ("email", "sms"):
        assert outcomes[IDS[1000], channel] == ("sent", "accepted")
        assert outcomes[IDS[read - 1], channel] == ("skipped", "no-address")
        assert outcomes[IDS[read], channel] == ("failed", "directory-unavailable")


async def test_a_cluster_that_could_not_be_read_to_its_end_is_one_failure_a_channel(
    tmp_path: Path,
) -> None:
    async with neighbourhood(tmp_path, users=MANY) as at:
        at.crud.good = 6
        answer = await at.send("email", "sms", clusters=["all"])
    error = f"{UNAVAILABLE}: cluster all was not read to its end"
    accepted(answer, failure("", "email", error), failure("", "sms", error))
    assert sent(at) == expected(1200)


async def test_listed_ids_that_were_read_do_not_fail_with_the_cluster(tmp_path: Path) -> None:
    outside: list[Document] = [
        {"_id": numbered(number), "phoneNumber": f"+39333{number:07}"}
        for number in range(5000, 5005)
    ]
    listed = [str(user["_id"]) for user in outside]
    async with neighbourhood(tmp_path, users=[*MANY, *outside]) as at:
        at.crud.good = 6  # one for the list, five of the cluster
        listed.append(numbered(9999))
        answer = await at.send("sms", recipients=listed, clusters=["all", "none"])
    accepted(
        answer,
        failure(numbered(9999), "sms", "User not found"),
        failure("", "sms", f"{UNAVAILABLE}: cluster all was not read to its end"),
        failure("", "sms", f"{UNAVAILABLE}: cluster none was not read to its end"),
    )
    assert len(at.sms.messages) == len(range(0, 1000, 40)) + len(outside)


async def test_an_id_that_was_read_does_not_fail_when_it_is_listed_again_behind(
    tmp_path: Path,
) -> None:
    async with neighbourhood(tmp_path, users=MANY) as at:
        at.crud.good = 6
        answer = await at.send("sms", recipients=[*IDS, *IDS[:50]])
        read = len([one for query in at.crud.queries[:6] for one in asked_ids(query)])
    accepted(answer, *(failure(name, "sms", UNAVAILABLE) for name in IDS[read:]))
    assert sent(at)[1] == expected(read)[1]


async def test_clusters_that_were_read_to_their_end_do_not_fail(tmp_path: Path) -> None:
    others = [f"cluster-{number}-{'x' * 80}" for number in range(100)]
    async with neighbourhood(tmp_path, users=MANY) as at:
        at.crud.good = 8  # all of the first clusters, with their 1,400 members
        answer = await at.send("sms", clusters=["all", *others])
        unread = list(asked_ids(at.crud.queries[8]))
    assert sent(at) == ([], expected(1400)[1])
    assert 0 < len(unread) < 100
    told = {entry["error"] for entry in answer.json()["failures"]}
    assert f"{UNAVAILABLE}: cluster {unread[0]} was not read to its end" in told
    assert f"{UNAVAILABLE}: cluster all was not read to its end" not in told


async def test_clusters_behind_listed_ids_that_failed_are_named_too(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=MANY) as at:
        at.crud.good = 6
        answer = await at.send("sms", recipients=IDS, clusters=["all", "all"])
        read = len([one for query in at.crud.queries[:6] for one in asked_ids(query)])
    accepted(
        answer,
        *(failure(name, "sms", UNAVAILABLE) for name in IDS[read:]),
        failure("", "sms", f"{UNAVAILABLE}: cluster all was not read to its end"),
    )
    assert sent(at)[1] == expected(read)[1]


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


async def test_what_left_before_the_directory_failed_stays_sent(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=MANY) as at:
        at.crud.good = 6
        first = await at.send("sms", recipients=IDS)
        at.crud.good = float("inf")
        again = [entry["userId"] for entry in first.json()["failures"]]
        accepted(await at.send("sms", recipients=again))
    assert sent(at)[1] == expected(1400)[1]
