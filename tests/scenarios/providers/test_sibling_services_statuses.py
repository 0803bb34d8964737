"""What each answer of the mail service means for the delivery, and what the caller is told."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import httpx
import trio

from carillon.messages.model import Document
from tests.neighbours.http import Answer, in_turn, mia_error, serve
from tests.neighbours.mail_service import MailService
from tests.scenarios.neighbourhood import (
    ADA,
    ADA_ID,
    ANGELO,
    Neighbourhood,
    accepted,
    failure,
    listen,
    neighbourhood,
)

HOLD: Document = {"timeout": "200ms", "onUnknownOutcome": "hold"}
REPEAT: Document = {"timeout": "200ms", "onUnknownOutcome": "retry"}


@dataclass(frozen=True)
class ServiceAnswer:
    """What the service made of some answers: its answer, the calls it took, and the outcome."""

    answer: httpx.Response
    calls: int
    outcome: tuple[str, str]
    attempts: int


async def told(at: Neighbourhood, *answers: Answer) -> ServiceAnswer:
    """A mail to Ada while the mail service answers like this."""
    before = len(at.calls("mail"))
    at.mail.answers.extend(answers)
    answer = await at.send(recipients=[ADA_ID])
    at.mail.answers.clear()
    calls = len(at.calls("mail")) - before
    return ServiceAnswer(answer, calls, at.outcomes()[ADA_ID, "email"], at.attempts()[-1])


SENT = ("sent", "accepted")
REJECTED = ("failed", "rejected")
EXHAUSTED = ("failed", "exhausted")
IN_DOUBT = ("in-doubt", "unknown-outcome")

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


async def test_any_success_is_sent_whatever_its_body(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        for name, answer in SUCCESSES.items():
            seen = await told(at, answer)
            accepted(seen.answer)
            assert (seen.calls, seen.outcome) == (1, SENT), name


async def test_a_redirect_is_rejected_and_not_followed(tmp_path: Path) -> None:
    async with serve(Answer(200)) as elsewhere, neighbourhood(tmp_path) as at:
        for status in (300, 301, 302, 303, 304, 307, 308):
            answer = Answer(status, headers={"location": f"{elsewhere.url}/send"})
            seen = await told(at, answer)
            accepted(seen.answer, mail_failure(f"mail-service answered {status}"))
            assert (seen.calls, seen.outcome) == (1, REJECTED), status
        assert elsewhere.requests == []


def mail_failure(error: str) -> dict[str, str]:
    return failure(ADA_ID, "email", error)


async def test_a_refusal_is_not_repeated_and_says_why_without_addresses(tmp_path: Path) -> None:
    said = "ada@example.com is blocked, so is other@x.test: ask the operator"
    error = "[address] is blocked, so is [address]: ask the operator"
    async with neighbourhood(tmp_path) as at:
        for status in (400, 401, 402, 403, 404, 405, 409, 410, 413, 415, 422, 451):
            seen = await told(at, mia_error(status, said))
            accepted(seen.answer, mail_failure(f"mail-service answered {status}: {error}"))
            assert (seen.calls, seen.outcome) == (1, REJECTED), status


async def test_a_passing_refusal_is_repeated_until_the_attempts_are_used(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        for status in (408, 425, 429, 500, 501, 502, 503, 507):
            answer = mia_error(status, "not now")
            seen = await told(at, answer, answer, answer)
            error = f"mail-service answered {status}: not now (2 attempts)"
            accepted(seen.answer, mail_failure(error))
            assert (seen.calls, seen.attempts, seen.outcome) == (2, 2, EXHAUSTED), status
        assert at.mail.mails == []


async def test_a_passing_refusal_may_end_well(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        for status in (408, 425, 429, 500, 502, 503):
            seen = await told(at, Answer(status))
            accepted(seen.answer)
            assert (seen.calls, seen.attempts, seen.outcome) == (2, 2, SENT), status
    assert len(at.mail.mails) == 6


UNKNOWN = {
    "504": (mia_error(504, "upstream"), "mail-service answered 504: upstream"),
    "disconnect": (Answer(fault="disconnect"), "mail-service: no answer: server disconnected"),
    "reset": (Answer(fault="reset"), "mail-service: no answer: connection lost"),
    "half a head": (Answer(fault="cut-head"), "mail-service: no answer: server disconnected"),
    "garbage": (Answer(fault="garbage"), "mail-service: no answer: not HTTP"),
    "timeout": (Answer(fault="hang"), "no answer within 0.2 s"),
}


async def test_an_unknown_outcome_is_held_and_told(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, providers={"mail-service": HOLD}) as at:
        for name, (answer, error) in UNKNOWN.items():
            seen = await told(at, answer)
            accepted(seen.answer, mail_failure(error))
            assert (seen.calls, seen.attempts, seen.outcome) == (1, 1, IN_DOUBT), name
        assert at.mail.mails == []


async def test_an_unknown_outcome_is_repeated_where_that_is_wanted(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, providers={"mail-service": REPEAT}) as at:
        for name, (answer, _) in UNKNOWN.items():
            seen = await told(at, answer)
            accepted(seen.answer)
            assert (seen.calls, seen.attempts, seen.outcome) == (2, 2, SENT), name
    assert len(at.mail.mails) == len(UNKNOWN)


async def test_mails_are_held_unless_the_configuration_says_otherwise(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, mail=MailService(Answer(504))) as at:
        answer = await at.send(recipients=[ADA_ID])
        accepted(answer, failure(ADA_ID, "email", "mail-service answered 504"))
        assert len(at.calls("mail")) == 1


async def test_when_every_repeat_stays_unanswered_the_outcome_stays_unknown(
    tmp_path: Path,
) -> None:
    backup = MailService()
    async with serve(backup) as server:
        providers: dict[str, Document] = {
            "mail-service": REPEAT,
            "mail-backup": {"type": "mail-service", "url": server.url},
        }
        channels: Document = {"email": {"providers": ["mail-service", "mail-backup"]}}
        async with neighbourhood(tmp_path, providers=providers, channels=channels) as at:
            seen = await told(at, Answer(504), Answer(504))
    assert (seen.calls, seen.outcome) == (2, IN_DOUBT)
    assert backup.mails == []  # a repeat elsewhere is a second mail


async def test_nobody_there_is_repeated_until_the_attempts_are_used(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, providers={"mail-service": HOLD}) as at:
        at.servers["mail"].stop()
        error = "mail-service: connection refused (2 attempts)"
        accepted(await at.send(recipients=[ADA_ID]), failure(ADA_ID, "email", error))
        assert at.outcomes()[ADA_ID, "email"] == EXHAUSTED
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
        assert at.outcomes()[ADA_ID, "email"] == SENT
        assert len(at.mail.mails) == 1


async def test_one_users_failure_is_not_anothers(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=[ADA, ANGELO]) as at:
        at.servers["mail"].handler = in_turn(Answer(400), Answer(200))
        answer = await at.send("email", "sms", clusters=["staff"])
        assert answer.status_code == 200
        assert [entry["channel"] for entry in answer.json()["failures"]] == ["email"]
    assert sorted(set(at.outcomes().values())) == [("failed", "rejected"), ("sent", "accepted")]
    assert len(at.sms.messages) == 2
