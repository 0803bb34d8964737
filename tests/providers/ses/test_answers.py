"""What each documented answer of SES means (contracts 2.4)."""

from __future__ import annotations

import json
from typing import Final, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.http_client.ports import NotAnswered, NotSent, Response
from carillon.messages.model import Accepted, Attempt, Cause, Refused, Unanswered, Unavailable
from carillon.providers.responses import LONGEST_PAUSE
from carillon.providers.ses.answers import (
    OF_ACCOUNT,
    OF_KEYS,
    OF_MESSAGE,
    THROTTLED,
    TRANSIENT,
    is_of_keys,
    read,
)
from tests.providers.deliveries import email

Where = Literal["header", "type", "code"]


def said(status: int, name: str, message: str = "no", where: Where = "header") -> Response:
    """An error as AWS writes it, with its name where one of its services puts it."""
    body = {"message": message}
    headers = {}
    if where == "header":
        headers["x-amzn-errortype"] = f"{name}:http://internal.amazon.com/coral/"
    else:
        body["__type" if where == "type" else "code"] = f"com.amazonaws.sesv2#{name}"
    return Response(status, headers, json.dumps(body).encode())


def told(reply: Response | NotSent | NotAnswered) -> Attempt:
    return read(reply, email())


def test_a_message_id_is_an_acceptance() -> None:
    assert told(Response(200, {}, b'{"MessageId": "0102-ab"}')) == Accepted("0102-ab", 200)
    assert told(Response(200, {}, b"{}")) == Accepted(None, 200)


@pytest.mark.parametrize("where", ["header", "type", "code"])
@pytest.mark.parametrize("name", sorted(THROTTLED))
def test_what_is_above_a_limit_is_throttled(name: str, where: Where) -> None:
    found = told(said(400, name, "Maximum sending rate exceeded.", where))
    assert found == Unavailable("ses answered 400: Maximum sending rate exceeded.", throttled=True)


@pytest.mark.parametrize("name", ["TooManyRequestsException", "LimitExceededException"])
def test_a_day_that_is_used_up_is_a_long_pause(name: str) -> None:
    found = told(said(429, name, "Daily message quota exceeded."))
    assert isinstance(found, Unavailable)
    assert (found.throttled, found.retry_after) == (True, LONGEST_PAUSE)


@pytest.mark.parametrize("name", sorted(OF_MESSAGE))
def test_what_is_wrong_with_one_mail_refuses_it(name: str) -> None:
    found = told(said(400, name, "Email address is not verified: mario.rossi@example.com"))
    assert found == Refused("ses answered 400: Email address is not verified: [address]")
    assert isinstance(found, Refused)
    assert found.cause == Cause("http-4xx", 400, of_message=True)


@pytest.mark.parametrize("status", [400, 403, 404])
@pytest.mark.parametrize("name", sorted(OF_ACCOUNT | OF_KEYS))
def test_what_is_wrong_with_account_or_keys_stops_the_provider(name: str, status: int) -> None:
    found = told(said(status, name))
    assert found == Unavailable(f"ses answered {status}: no")
    assert isinstance(found, Unavailable)
    assert found.cause == Cause("http-4xx", status)


@pytest.mark.parametrize("name", sorted(TRANSIENT))
def test_trouble_at_ses_passes(name: str) -> None:
    assert told(said(400, name)) == Unavailable("ses answered 400: no")


DOCUMENTED: Final = {
    "TooManyRequestsException": (429, Unavailable),
    "LimitExceededException": (400, Unavailable),
    "AccountSuspendedException": (400, Unavailable),
    "SendingPausedException": (400, Unavailable),
    "MessageRejected": (400, Refused),
    "MailFromDomainNotVerifiedException": (400, Unavailable),
    "NotFoundException": (404, Unavailable),
    "BadRequestException": (400, Refused),
}


@pytest.mark.parametrize("name", DOCUMENTED)
def test_every_error_that_send_email_documents_has_a_meaning(name: str) -> None:
    status, meaning = DOCUMENTED[name]
    assert isinstance(told(said(status, name)), meaning)


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, Refused("ses answered 301")),
        (400, Refused("ses answered 400")),
        (401, Unavailable("ses answered 401")),
        (403, Unavailable("ses answered 403")),
        (404, Refused("ses answered 404")),
        (413, Refused("ses answered 413")),
        (429, Unavailable("ses answered 429", throttled=True)),
        (500, Unavailable("ses answered 500")),
        (503, Unavailable("ses answered 503")),
        (504, Unanswered("ses answered 504")),
    ],
)
def test_without_a_name_the_status_counts(status: int, expected: Attempt) -> None:
    assert told(Response(status, {}, b"<html>")) == expected


@pytest.mark.parametrize("name", sorted(OF_KEYS))
def test_keys_that_are_not_believed_are_told_apart(name: str) -> None:
    assert is_of_keys(said(403, name))
    assert is_of_keys(said(400, name))


@pytest.mark.parametrize("name", sorted(OF_ACCOUNT | OF_MESSAGE | THROTTLED))
def test_from_those_that_are(name: str) -> None:
    assert not is_of_keys(said(403, name))


def test_what_was_not_sent_or_not_answered_stays_so() -> None:
    assert told(NotSent("no route")) == Unavailable("ses: no route")
    assert told(NotAnswered("reset")) == Unanswered("ses: reset")


@given(st.binary(max_size=100), st.integers(200, 599))
def test_no_answer_raises(body: bytes, status: int) -> None:
    assert isinstance(told(Response(status, {}, body)), Attempt)
