"""What an answer means: the decided cases, one by one."""

from __future__ import annotations

import json
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.http_client.ports import NotAnswered, NotSent, Response
from carillon.messages.model import Accepted, Attempt, Refused, Unanswered, Unavailable
from carillon.providers.responses import LONGEST_PAUSE, attempt, document, retry_after
from tests.providers.deliveries import email, sms


def read(status: int, body: bytes = b"", **headers: str) -> Attempt:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return attempt(Response(status, named, body), "mail-service", email())


def error_of(value: Attempt) -> str:
    assert not isinstance(value, Accepted)
    return value.error


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
@pytest.mark.parametrize("body", [b"", b"{", b"<html>", b'{"statusCode": "500"}'])
def test_2xx_is_accepted_whatever_the_body_says(status: int, body: bytes) -> None:
    assert read(status, body) == Accepted()


@pytest.mark.parametrize("status", [300, 301, 302, 307, 308, 400, 401, 403, 404, 409, 413, 422])
def test_3xx_and_other_4xx_are_refused(status: int) -> None:
    assert read(status) == Refused(f"mail-service answered {status}", "rejected")


@pytest.mark.parametrize("status", [408, 425, 500, 501, 502, 503, 505, 599])
def test_what_may_pass_is_unavailable(status: int) -> None:
    assert read(status) == Unavailable(f"mail-service answered {status}")


def test_429_throttles() -> None:
    assert read(429) == Unavailable("mail-service answered 429", None, throttled=True)


@pytest.mark.parametrize("status", [101, 504])
def test_what_leaves_the_outcome_open_is_unanswered(status: int) -> None:
    assert read(status) == Unanswered(f"mail-service answered {status}")


def test_without_an_answer_it_depends_on_whether_bytes_left() -> None:
    unsent = attempt(NotSent("connection refused"), "mail-service", email())
    assert unsent == Unavailable("mail-service: connection refused")
    lost = attempt(NotAnswered("no answer: connection lost"), "mail-service", email())
    assert lost == Unanswered("mail-service: no answer: connection lost")


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("86400", LONGEST_PAUSE),
        ("999999999999", LONGEST_PAUSE),
        ("-1", None),
        ("", None),
        ("soon", None),
        ("1e3", None),
        ("nan", None),
        ("٣", None),
        ("9" * 5000, LONGEST_PAUSE),
        ("0" * 400 + "7", 7.0),
        ("1.", None),
    ],
)
def test_retry_after_in_seconds(status: int, value: str, seconds: float | None) -> None:
    reply = read(status, retry_after=value)
    assert isinstance(reply, Unavailable)
    assert reply.retry_after == seconds


@pytest.mark.parametrize(
    ("offset", "seconds"), [(30.0, 30.0), (-30.0, 0.0), (90_000.0, LONGEST_PAUSE)]
)
def test_retry_after_as_a_date_is_measured_from_the_answers_own_date(
    offset: float, seconds: float
) -> None:
    there = 1_000_000_000.0  # a clock that is decades behind ours
    until, date = formatdate(there + offset, usegmt=True), formatdate(there, usegmt=True)
    assert retry_after(Response(503, {"retry-after": until, "date": date}, b"")) == seconds


@pytest.mark.parametrize(
    "until",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        "Sun Nov 06 08:49:37 1994",
    ],
)
def test_retry_after_as_a_date_in_each_of_its_forms(until: str) -> None:
    date = "Sun Nov  6 08:49:07 1994"
    assert retry_after(Response(429, {"retry-after": until, "date": date}, b"")) == 30.0


@pytest.mark.parametrize("until", ["Sun Abc  6 08:49:37 1994", "Sun Nov 39 08:49:37 1994"])
def test_retry_after_as_a_date_that_is_none(until: str) -> None:
    assert retry_after(Response(429, {"retry-after": until}, b"")) is None


def test_retry_after_as_a_date_falls_back_to_our_clock() -> None:
    reply = Response(429, {"retry-after": formatdate(1030.0, usegmt=True), "date": "?"}, b"")
    assert retry_after(reply, now=lambda: 1000.0) == 30.0


@pytest.mark.parametrize("status", [400, 408, 500, 502, 504])
def test_retry_after_counts_on_429_and_503_only(status: int) -> None:
    assert retry_after(Response(status, {"retry-after": "5"}, b"")) is None


@given(st.text(max_size=60))
def test_no_retry_after_ever_raises_or_leaves_its_bounds(value: str) -> None:
    seconds = retry_after(Response(429, {"retry-after": value}, b""))
    assert seconds is None or 0 <= seconds <= LONGEST_PAUSE


def test_the_error_holds_the_services_own_words() -> None:
    body = b'{"statusCode": "400", "error": "Bad request", "message": "subject is empty"}'
    assert error_of(read(400, body)) == "mail-service answered 400: subject is empty"


@pytest.mark.parametrize(
    "body", [b'{"message": 7}', b'{"message": null}', b"[]", b'"x"', b"\xff{", b"{" * 60_000]
)
def test_a_body_of_another_shape_gives_the_status_alone(body: bytes) -> None:
    assert error_of(read(400, body)) == "mail-service answered 400"


@pytest.mark.parametrize(
    "said",
    [
        "no mailbox mario.rossi@example.com here",
        "no mailbox MARIO.ROSSI@Example.COM here",
        "no mailbox <mario.rossi@example.com> here",
        "no mailbox mario.rossi%40example.com here",
        "cc of luigi@example.org not valid",
        "text refused: Your order left.",
    ],
)
def test_neither_addresses_nor_texts_are_repeated(said: str) -> None:
    text = error_of(read(400, json.dumps({"message": said}).encode()))
    for secret in ("mario", "rossi", "luigi", "example", "order left"):
        assert secret not in text.lower()


@pytest.mark.parametrize(
    "written",
    ["+393331234567", "393331234567", "+39 333 123 4567", "39-333-1234567", "+39 (333) 1234567"],
)
def test_a_phone_number_is_found_however_it_is_written(written: str) -> None:
    body = json.dumps({"message": f"receiver {written} is not valid"}).encode()
    reply = attempt(Response(400, {}, body), "sms-service", sms())
    assert error_of(reply) == "sms-service answered 400: receiver [address] is not valid"


def test_an_error_is_one_short_printable_line() -> None:
    said = "a\r\nb\x00c\x1b[31m\u2028d" + " long" * 5000
    text = error_of(read(400, json.dumps({"message": said}).encode()))
    assert text.startswith("mail-service answered 400: a b c [31m d long")
    assert text.isprintable()
    assert len(text) <= len("mail-service answered 400: ") + 200


@given(st.binary(max_size=200))
def test_no_body_ever_raises(body: bytes) -> None:
    assert isinstance(document(body), dict)
    assert isinstance(read(500, body), Unavailable)


@pytest.mark.parametrize(
    ("sid", "kept"), [("SM1", "SM1"), (7, None), ("", None), ("a b", None), ("x" * 201, None)]
)
def test_a_message_id_is_kept_when_it_is_one_short_word(sid: object, kept: str | None) -> None:
    body = json.dumps({"sid": sid}).encode()
    reply = attempt(Response(200, {}, body), "sms", sms(), identify=lambda b: b.get("sid"))
    assert reply == Accepted(kept)
