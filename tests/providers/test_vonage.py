"""Vonage's adapter: what it sends, and what each documented answer means (contracts 2.6)."""

from __future__ import annotations

import json
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.http_client.httpx_client import HttpxWire
from carillon.http_client.ports import NotAnswered, NotSent, Response
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    Document,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.providers.responses import LONGEST_PAUSE
from carillon.providers.vonage import Vonage, VonageCredentials, VonageOptions, read
from tests.neighbours.http import json_answer, serve
from tests.providers.deliveries import ScriptedWire, Starts, email, sms

CREDENTIALS: Final = VonageCredentials.model_validate({"apiKey": "abcd1234", "apiSecret": "s3cret"})


def part(status: object = "0", text: str = "", message_id: str = "0A0000000123ABCD1") -> Document:
    """What became of one part of an SMS, as Vonage writes it."""
    if status == "0":
        return {"to": "393331234567", "message-id": message_id, "status": "0", "network": "22210"}
    return {"to": "393331234567", "status": status, "error-text": text}  # type: ignore[dict-item]


def answer(*parts: Document) -> Document:
    return {"message-count": str(len(parts)), "messages": [*parts]}


def told(*parts: Document) -> Attempt:
    return read(Response(200, {}, json.dumps(answer(*parts)).encode()), sms())


async def test_an_sms_is_one_form_with_numbers_without_their_plus(wire: HttpxWire) -> None:
    starts = Starts()
    async with serve(json_answer(answer(part()))) as server:
        sent = await Vonage(CREDENTIALS, wire, url=server.url).send(sms("Costa 5 €, è qui"), starts)
    [request] = server.requests
    assert sent == Accepted("0A0000000123ABCD1", 200)
    assert (request.method, request.target) == ("POST", "/sms/json")
    assert request.headers["authorization"] == "Basic YWJjZDEyMzQ6czNjcmV0"
    assert request.form() == {
        "from": ["Shop"],
        "to": ["393331234567"],
        "text": ["Costa 5 €, è qui"],
        "type": ["text"],
        "client-ref": ["d" * 32],
    }
    assert len(starts.times) == 1


def test_what_gsm_cannot_write_goes_as_unicode() -> None:
    adapter = Vonage(CREDENTIALS, ScriptedWire([]))
    assert adapter.request(sms("Ship it 🚢"))["type"] == "unicode"


def test_a_section_says_from_whom_and_adds_fields_that_replace_none_of_ours() -> None:
    options = VonageOptions(sender="+447700900000", fields={"ttl": "600000", "text": "spam"})
    form = Vonage(CREDENTIALS, ScriptedWire([]), options=options).request(sms())
    assert form["from"] == "447700900000"
    assert form["ttl"] == "600000"
    assert form["text"] == "Your order left."


async def test_no_mail_goes_over_it(wire: HttpxWire) -> None:
    with pytest.raises(TypeError, match="texts only"):
        await Vonage(CREDENTIALS, wire).send(email(), Starts())


MEANINGS: Final = {
    "1": "Throttled",
    "2": "Missing Parameters",
    "3": "Invalid Parameters",
    "4": "Invalid Credentials",
    "5": "Internal Error",
    "6": "Invalid Message",
    "7": "Number Barred",
    "8": "Partner Account Barred",
    "9": "Partner Quota Violation",
    "10": "Too Many Existing Binds",
    "11": "Account Not Enabled For HTTP",
    "12": "Message Too Long",
    "14": "Invalid Signature",
    "15": "Invalid Sender Address",
    "22": "Invalid Network Code",
    "23": "Invalid Callback URL",
    "29": "Non-Whitelisted Destination",
    "32": "Signature And API Secret Disallowed",
    "33": "Number De-activated",
}


@pytest.mark.parametrize("status", ["2", "3", "6", "7", "12", "15", "22", "23", "29", "33", "99"])
def test_what_is_wrong_with_one_message_refuses_it(status: str) -> None:
    found = told(part(status, MEANINGS.get(status, "?")))
    assert found == Refused(f"vonage: status {status}: {MEANINGS.get(status, '?')}")
    assert isinstance(found, Refused)
    assert found.cause == Cause("http-4xx", 200, of_message=True)


@pytest.mark.parametrize("status", ["4", "8", "9", "11", "14", "32"])
def test_what_is_wrong_with_the_account_stops_the_provider(status: str) -> None:
    found = told(part(status, MEANINGS[status]))
    assert found == Unavailable(f"vonage: status {status}: {MEANINGS[status]}")
    assert isinstance(found, Unavailable)
    assert found.cause == Cause("http-4xx", 200)


@pytest.mark.parametrize("status", ["1", "10"])
def test_what_comes_too_fast_is_throttled(status: str) -> None:
    found = told(part(status, MEANINGS[status]))
    expected = f"vonage: status {status}: {MEANINGS[status]}"
    assert found == Unavailable(expected, throttled=True)


@pytest.mark.parametrize(
    ("wait", "seconds"), [("[ 250 ]", 0.25), ("[1500]", 1.5), ("[ 999999999 ]", LONGEST_PAUSE)]
)
def test_a_throttled_message_may_say_how_long(wait: str, seconds: float) -> None:
    text = f"Throughput Rate Exceeded - please wait {wait} and retry"
    found = told(part("1", text))
    assert isinstance(found, Unavailable)
    assert (found.throttled, found.retry_after) == (True, seconds)


def test_trouble_at_vonage_passes() -> None:
    found = told(part("5", MEANINGS["5"]))
    assert found == Unavailable("vonage: status 5: Internal Error")
    assert isinstance(found, Unavailable)
    assert found.cause == Cause("http-5xx", 200)


def test_an_sms_of_several_parts_is_accepted_when_all_are() -> None:
    assert told(part(message_id="A1"), part(message_id="A2")) == Accepted("A1", 200)


@pytest.mark.parametrize("status", MEANINGS)
def test_an_sms_of_which_some_parts_were_taken_is_in_doubt(status: str) -> None:
    found = told(part(), part(status, MEANINGS[status]))
    said = f"vonage: status {status}: {MEANINGS[status]}; 1 of 2 parts were taken"
    assert found == Unanswered(said)


def test_an_sms_of_which_no_part_was_taken_is_not() -> None:
    assert told(part("1", "Throttled"), part("1", "Throttled")) == Unavailable(
        "vonage: status 1: Throttled", throttled=True
    )


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"OK", b"{}", b"[]", b'{"messages": []}', b'{"messages": {"status": "0"}}'),
        *(b'{"messages": [{}]}', b'{"messages": [{"status": 0}]}', b'{"messages": [[]]}'),
        *(b'{"messages": [{"status": "0"}', b'{"messages": [{"status": "zero"}]}'),
    ],
)
def test_a_success_that_does_not_say_what_became_of_it_is_in_doubt(body: bytes) -> None:
    found = read(Response(200, {}, body), sms())
    assert found == Unanswered("vonage answered 200, and not what became of the SMS")


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (302, Refused("vonage answered 302")),
        (400, Refused("vonage answered 400")),
        (401, Unavailable("vonage answered 401")),
        (402, Unavailable("vonage answered 402")),
        (403, Unavailable("vonage answered 403")),
        (408, Unavailable("vonage answered 408")),
        (429, Unavailable("vonage answered 429", throttled=True)),
        (500, Unavailable("vonage answered 500")),
        (503, Unavailable("vonage answered 503")),
        (504, Unanswered("vonage answered 504")),
    ],
)
def test_what_is_no_success_is_taken_by_its_status(status: int, expected: Attempt) -> None:
    assert read(Response(status, {}, b"<html>"), sms()) == expected


def test_problem_details_are_told() -> None:
    body = {"type": "x", "title": "Low balance", "detail": "Top up your account"}
    found = read(Response(402, {}, json.dumps(body).encode()), sms())
    assert found == Unavailable("vonage answered 402: Top up your account")


def test_what_was_not_sent_or_not_answered_stays_so() -> None:
    assert read(NotSent("no route"), sms()) == Unavailable("vonage: no route")
    assert read(NotAnswered("reset"), sms()) == Unanswered("vonage: reset")


def test_neither_number_nor_text_is_told() -> None:
    found = told(part("6", "no route to 393331234567: Your order left."))
    assert found == Refused("vonage: status 6: no route to [address]: [text]")


@given(st.binary(max_size=100), st.integers(200, 599))
def test_no_answer_raises(body: bytes, status: int) -> None:
    assert isinstance(read(Response(status, {}, body), sms()), Attempt)
