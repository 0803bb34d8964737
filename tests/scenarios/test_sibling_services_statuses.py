"""What each answer of the mail service means for the delivery, and what the caller is told."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import trio

from messages.model import Document
from tests.neighbours.http import Answer, in_turn, mia_error, serve
from tests.neighbours.mail_service import MailService
from tests.scenarios.neighbourhood import (
    ADA,
    ADA_ID,
    ANGELO,
    RETRY,
    Neighbourhood,
    accepted,
    failure,
    listen,
    neighbourhood,
)

HOLD: Document = {"timeout": "80ms", "onUnknownOutcome": "hold"}
REPEAT: Document = {"timeout": "80ms", "onUnknownOutcome": "retry"}


def told(at: Neighbourhood) -> tuple[str, str]:
    """The outcome and reason of Ada's mail."""
    return at.outcomes()[ADA_ID, "email"]


SUCCESSES = {
    "200": Answer(200),
    "201": Answer(201, b"created"),
    "202": mia_error(202, "not really"),
    "204": Answer(204, framing="close"),
    "a body that is not JSON": Answer(200, b"{", {"content-type": "application/json"}),
    "a body that ends early": Answer(200, b"{", fault="cut-body"),
    "a connection that closes": Answer(200, b"{}", fault="close-after"),
    "interim answers first": Answer(200, informational=[102, 103]),
}


@pytest.mark.parametrize("name", SUCCESSES)
async def test_any_success_is_sent_whatever_its_body(name: str, tmp_path: Path) -> None:
    mail = MailService(SUCCESSES[name])
    async with neighbourhood(tmp_path, mail=mail) as at:
        accepted(await at.send(recipients=[ADA_ID]))
    assert told(at) == ("sent", "accepted")
    assert len(at.calls("mail")) == 1


@pytest.mark.parametrize("status", [300, 301, 302, 303, 304, 307, 308])
async def test_a_redirect_is_rejected_and_not_followed(status: int, tmp_path: Path) -> None:
    async with serve(Answer(200)) as elsewhere:
        answer = Answer(status, headers={"location": f"{elsewhere.url}/send"})
        async with neighbourhood(tmp_path, mail=MailService(answer)) as at:
            accepted(
                await at.send(recipients=[ADA_ID]),
                failure(ADA_ID, "email", f"mail-service answered {status}"),
            )
    assert told(at) == ("failed", "rejected")
    assert (len(at.calls("mail")), elsewhere.requests) == (1, [])


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 451])
async def test_a_refusal_is_not_repeated_and_says_why(status: int, tmp_path: Path) -> None:
    answer = mia_error(status, "ada@example.com is blocked, so is other@x.test: ask the operator")
    async with neighbourhood(tmp_path, mail=MailService(answer)) as at:
        error = f"mail-service answered {status}: [address] is blocked, so is [address]: ask"
        accepted(
            await at.send(recipients=[ADA_ID]),
            failure(ADA_ID, "email", f"{error} the operator"),
        )
    assert told(at) == ("failed", "rejected")
    assert len(at.calls("mail")) == 1


@pytest.mark.parametrize("status", [408, 425, 429, 500, 501, 502, 503, 507])
async def test_a_passing_refusal_is_repeated_until_the_attempts_are_used(
    status: int, tmp_path: Path
) -> None:
    mail = MailService(*[mia_error(status, "not now")] * 2)
    async with neighbourhood(tmp_path, mail=mail) as at:
        error = f"mail-service answered {status}: not now (2 attempts)"
        accepted(await at.send(recipients=[ADA_ID]), failure(ADA_ID, "email", error))
        assert told(at) == ("failed", "exhausted")
        assert (len(at.calls("mail")), at.attempts()) == (2, [2])
        assert at.mail.mails == []


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503])
async def test_a_passing_refusal_may_end_well(status: int, tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, mail=MailService(Answer(status))) as at:
        accepted(await at.send(recipients=[ADA_ID]))
    assert told(at) == ("sent", "accepted")
    assert at.attempts() == [2]
    assert [mail.recipients for mail in at.mail.mails] == [["ada@example.com"]]


UNKNOWN = {
    "504": (mia_error(504, "upstream"), "mail-service answered 504: upstream"),
    "disconnect": (Answer(fault="disconnect"), "mail-service: no answer: server disconnected"),
    "reset": (Answer(fault="reset"), "mail-service: no answer: connection lost"),
    "half a head": (Answer(fault="cut-head"), "mail-service: no answer: server disconnected"),
    "garbage": (Answer(fault="garbage"), "mail-service: no answer: not HTTP"),
    "timeout": (Answer(fault="hang"), "no answer within 0.08 s"),
}


@pytest.mark.parametrize("name", UNKNOWN)
async def test_an_unknown_outcome_is_held_and_told(name: str, tmp_path: Path) -> None:
    answer, error = UNKNOWN[name]
    providers = {"mail-service": HOLD}
    async with neighbourhood(tmp_path, mail=MailService(answer), providers=providers) as at:
        accepted(await at.send(recipients=[ADA_ID]), failure(ADA_ID, "email", error))
        assert told(at) == ("in-doubt", "unknown-outcome")
        assert (len(at.calls("mail")), at.attempts()) == (1, [1])


async def test_mails_are_held_unless_the_configuration_says_otherwise(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, mail=MailService(Answer(504))) as at:
        answer = await at.send(recipients=[ADA_ID])
        accepted(answer, failure(ADA_ID, "email", "mail-service answered 504"))
        assert len(at.calls("mail")) == 1


@pytest.mark.parametrize("name", UNKNOWN)
async def test_an_unknown_outcome_is_repeated_where_that_is_wanted(
    name: str, tmp_path: Path
) -> None:
    providers = {"mail-service": REPEAT}
    mail = MailService(UNKNOWN[name][0])
    async with neighbourhood(tmp_path, mail=mail, providers=providers) as at:
        accepted(await at.send(recipients=[ADA_ID]))
    assert told(at) == ("sent", "accepted")
    assert (len(at.calls("mail")), at.attempts()) == (2, [2])


async def test_nobody_there_is_repeated_until_the_attempts_are_used(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, providers={"mail-service": HOLD}) as at:
        at.servers["mail"].stop()
        error = "mail-service: connection refused (2 attempts)"
        accepted(await at.send(recipients=[ADA_ID]), failure(ADA_ID, "email", error))
        assert told(at) == ("failed", "exhausted")
        assert at.calls("mail") == []


async def test_a_service_that_comes_back_gets_what_waited(tmp_path: Path) -> None:
    patient: Document = {
        "retry": {"attempts": 100, "firstDelay": "20ms", "maxDelay": "20ms"},
        "breaker": {"failures": 1000, "cooldown": "20ms"},
    }
    async with neighbourhood(tmp_path, providers={"mail-service": patient}) as at:
        port = int(at.servers["mail"].url.rpartition(":")[2])
        at.servers["mail"].stop()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(at.send, recipients=[ADA_ID]))
            await trio.sleep(0.1)
            await nursery.start(partial(listen, at.mail, port))
            await at.service.until(at.outcomes)
            nursery.cancel_scope.cancel()
        assert told(at) == ("sent", "accepted")
        assert len(at.mail.mails) == 1


async def test_one_users_failure_is_not_anothers(tmp_path: Path) -> None:
    def answer_for(receiver: str) -> Answer:
        return mia_error(400, "blocked") if receiver == "ada@example.com" else Answer(200)

    async with neighbourhood(tmp_path, users=[ADA, ANGELO]) as at:
        at.servers["mail"].handler = in_turn(Answer(400), Answer(200))
        answer = await at.send("email", "sms", clusters=["staff"])
        assert answer.status_code == 200
        assert [entry["channel"] for entry in answer.json()["failures"]] == ["email"]
    assert sorted(set(at.outcomes().values())) == [("failed", "rejected"), ("sent", "accepted")]
    assert len(at.sms.messages) == 2
