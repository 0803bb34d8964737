"""Twilio's adapter: what it sends, and what each documented answer means (contracts 2.1)."""

from __future__ import annotations

import json
from typing import Final
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.http_client.httpx_client import HttpxWire
from carillon.http_client.ports import NotAnswered, NotSent, Response
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    Postponed,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.providers.responses import LONGEST_PAUSE
from carillon.providers.twilio import (
    DAILY,
    OF_ACCOUNT,
    THROTTLED,
    TRANSIENT,
    Twilio,
    TwilioCredentials,
    TwilioOptions,
    read,
    spoken,
)
from tests.neighbours.http import json_answer, serve
from tests.providers.deliveries import ScriptedWire, Starts, email, sms, voice

ACCOUNT: Final = "AC" + "0a" * 16
SERVICE_SID: Final = "MG" + "0b" * 16
SID: Final = "SM" + "0c" * 16
CREDENTIALS: Final = TwilioCredentials.model_validate({"accountSid": ACCOUNT, "authToken": "t0ken"})
AUTHORIZATION: Final = "Basic " + "QUMwYTBhMGEwYTBhMGEwYTBhMGEwYTBhMGEwYTBhMGEwYTp0MGtlbg=="


def said(status: int, code: int | None = None, message: str = "no", **headers: str) -> Response:
    """An error as Twilio writes it."""
    body = {"code": code, "message": message, "status": status}
    return Response(status, headers, json.dumps(body).encode())


def told(reply: Response | NotSent | NotAnswered) -> Attempt:
    return read(reply, sms())


async def test_an_sms_is_one_form(wire: HttpxWire) -> None:
    starts = Starts()
    async with serve(json_answer({"sid": SID, "status": "queued"}, 201)) as server:
        sent = await Twilio(CREDENTIALS, wire, url=server.url).send(
            sms("Perché no? +1 & €"), starts
        )
    [request] = server.requests
    assert sent == Accepted(SID, 201)
    assert request.target == f"/2010-04-01/Accounts/{ACCOUNT}/Messages.json"
    assert request.method == "POST"
    assert request.headers["authorization"] == AUTHORIZATION
    assert request.form() == {
        "To": ["+393331234567"],
        "From": ["Shop"],
        "Body": ["Perché no? +1 & €"],
    }
    assert len(starts.times) == 1


async def test_a_call_is_one_form_with_the_words_as_twiml(wire: HttpxWire) -> None:
    options = TwilioOptions(language="it-IT", voice="Polly.Bianca")
    async with serve(json_answer({"sid": "CA1", "status": "queued"}, 201)) as server:
        adapter = Twilio(CREDENTIALS, wire, url=server.url, options=options)
        called = await adapter.send(voice('It\'s <b> & "c"'), Starts())
    [request] = server.requests
    assert called == Accepted("CA1", 201)
    assert request.target == f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"
    form = request.form()
    twiml = ElementTree.fromstring(form.pop("Twiml")[0])
    assert form == {"To": ["+393331234567"], "From": ["+390212345678"]}
    assert [twiml.tag, twiml[0].tag, twiml[0].text] == ["Response", "Say", 'It\'s <b> & "c"']
    assert twiml[0].attrib == {"language": "it-IT", "voice": "Polly.Bianca"}


@given(st.text())
def test_any_text_is_wellformed_twiml_that_says_it(text: str) -> None:
    text = text.encode(errors="replace").decode()
    (say,) = ElementTree.fromstring(spoken(text))
    fits = [c if c in "\t\n\r" or " " <= c <= "\ud7ff" or c >= "\ue000" else " " for c in text]
    expected = "".join(" " if c in "\ufffe\uffff" else c for c in fits)
    assert (say.text or "") == expected.replace("\r\n", "\n").replace("\r", "\n")


def test_a_section_says_from_whom_and_adds_fields_that_replace_none_of_ours() -> None:
    keys = {
        "sender": SERVICE_SID,
        "caller": "+15550100",
        "messageFields": {"ValidityPeriod": "600", "To": "+1"},
        "callFields": {"Timeout": "30", "Twiml": "<Response/>"},
    }
    options = TwilioOptions.model_validate(keys)
    adapter = Twilio(CREDENTIALS, ScriptedWire([]), options=options)
    _, message = adapter.request(sms())
    _, call = adapter.request(voice())
    assert message == {
        "ValidityPeriod": "600",
        "To": "+393331234567",
        "MessagingServiceSid": SERVICE_SID,
        "Body": "Your order left.",
    }
    assert call["From"] == "+15550100"
    assert call["Timeout"] == "30"
    assert "order left" in call["Twiml"]


async def test_an_api_key_signs_in_the_accounts_place(wire: HttpxWire) -> None:
    key = "SK" + "0d" * 16
    keys = {"accountSid": ACCOUNT, "authToken": "t0ken", "apiKey": key}
    async with serve(json_answer({"sid": SID}, 201)) as server:
        credentials = TwilioCredentials.model_validate(keys)
        await Twilio(credentials, wire, url=server.url).send(sms(), Starts())
    assert server.requests[0].headers["authorization"] != AUTHORIZATION
    assert ACCOUNT in server.requests[0].path


async def test_no_mail_goes_over_it(wire: HttpxWire) -> None:
    with pytest.raises(TypeError, match="texts only"):
        await Twilio(CREDENTIALS, wire).send(email(), Starts())


@pytest.mark.parametrize(
    "status",
    [
        *("queued", "accepted", "scheduled", "sending", "sent", "delivered", "received", "read"),
        *("receiving", "partially_delivered", "ringing", "in-progress", "completed", "busy"),
        "no-answer",
    ],
)
def test_a_success_in_any_status_that_goes_on_is_accepted(status: str) -> None:
    body = json.dumps({"sid": SID, "status": status, "error_code": None}).encode()
    assert told(Response(201, {}, body)) == Accepted(SID, 201)


@pytest.mark.parametrize("status", ["failed", "undelivered", "canceled"])
def test_a_success_that_says_it_failed_is_none(status: str) -> None:
    body = {"sid": SID, "status": status, "error_code": 30005}
    found = told(Response(201, {}, json.dumps(body).encode()))
    assert found == Refused(f"twilio answered 201, and that it is {status} (30005)")
    assert isinstance(found, Refused)
    assert found.cause == Cause("http-4xx", 201, of_message=True)


REFUSED: Final = {
    21201: "No Called number specified",
    21202: "Called number is a premium number",
    21203: "International calling not enabled",
    21205: "Invalid URL",
    21208: "Invalid Timeout",
    21210: "'From' phone number not verified",
    21211: "Invalid 'To' Phone Number",
    21214: "'To' phone number cannot be reached",
    21215: "Geo Permission configuration is not permitting call",
    21216: "Call blocked by Twilio blocklist",
    21217: "Phone number does not appear to be valid",
    21219: "'To' phone number not verified",
    21263: "Invalid Answering Machine Detection Parameters",
    21401: "Invalid Phone Number",
    21407: "This Phone Number type does not support SMS",
    21408: "Permission to send an SMS has not been enabled for the region",
    21601: "Phone number is not a valid SMS-capable inbound phone number",
    21602: "Message body is required",
    21604: "The destination 'To' phone number is required to send an SMS",
    21605: "Maximum body length is 160 characters",
    21606: "The 'From' phone number is not valid for this destination",
    21607: "The 'from' phone number must be the sandbox phone number",
    21608: "The 'to' phone number provided is not yet verified for this account",
    21610: "Attempt to send to unsubscribed recipient",
    21612: "The 'To' phone number is not currently reachable via SMS",
    21614: "'To' number is not a valid mobile number",
    21616: "The 'From' number matches multiple numbers for your account",
    21617: "The concatenated message body exceeds the 1600 character limit",
    21618: "The message body cannot be sent",
    21619: "Unable to create record",
    21620: "Invalid media URL(s)",
    21624: "Invalid validity period value",
    21709: "Alpha Sender ID is Invalid or Not Authorized for this Messaging Service",
    30003: "Unreachable destination handset",
    30004: "Message blocked",
    30005: "Unknown destination handset",
    30006: "Landline or unreachable carrier",
    30007: "Message filtered",
    30008: "Unknown error",
    30018: "Destination carrier requires sender ID pre-registration",
    30024: "Numeric Sender ID Not Provisioned on Carrier",
    30032: "Toll-Free Number Has Not Been Verified",
    63003: "Channel could not find To address",
    63024: "Invalid message recipient",
    20001: "Unknown parameters",
    20422: "Invalid Parameter",
}
WRONG_ACCOUNT: Final = {
    10001: "Account is not active",
    20003: "Permission Denied",
    20005: "Account not active",
    20006: "Access Denied",
    20010: "Action disabled for account",
    20151: "Authentication Failed",
    20404: "Not Found",
    21212: "Invalid From Number (caller ID)",
    21213: "Caller phone number is required",
    21603: "A 'From' or 'MessagingServiceSid' parameter is required to send a message",
    21701: "The Messaging Service does not exist",
    21702: "The Messaging Service is not available to send new messages",
    21703: "The Messaging Service does not have a phone number available to send a message",
    21704: "The Messaging Service contains no phone numbers",
    21705: "The Messaging Service is invalid",
    30002: "Account suspended",
}
TOO_MANY: Final = {
    10004: "Call concurrency limit exceeded",
    14107: "SMS send rate limit exceeded",
    20429: "Too Many Requests",
    21611: "This 'From' number has exceeded the maximum number of queued messages",
    22005: "Call Queue Full",
    30001: "Queue overflow",
    30022: "US A2P 10DLC - Rate Limits Exceeded",
    63017: "Rate limit exceeded",
    63018: "Rate limit exceeded for Channel",
}
USED_UP: Final = {
    30023: "US A2P 10DLC - Daily Message Cap Reached",
    30027: "US A2P 10DLC - T-Mobile Daily Message Limit Reached",
    63038: "Account exceeded the daily messages limit",
}
PASSING: Final = {
    20500: "Internal Server Error",
    20503: "Service unavailable",
    30017: "Carrier network congestion",
    30020: "Internal Failure with Message Scheduling",
    30021: "Internal Failure with messaging service orchestrator",
    30410: "Provider Timeout Error",
}


@pytest.mark.parametrize("code", REFUSED)
def test_what_is_wrong_with_one_message_refuses_it(code: int) -> None:
    found = told(said(400, code, REFUSED[code]))
    assert found == Refused(f"twilio answered 400: {code}: {REFUSED[code]}")
    assert isinstance(found, Refused)
    assert found.cause == Cause("http-4xx", 400, of_message=True)


@pytest.mark.parametrize("status", [400, 401, 403, 404])
@pytest.mark.parametrize("code", WRONG_ACCOUNT)
def test_what_is_wrong_with_the_account_stops_the_provider(code: int, status: int) -> None:
    found = told(said(status, code, WRONG_ACCOUNT[code]))
    assert found == Unavailable(f"twilio answered {status}: {code}: {WRONG_ACCOUNT[code]}")
    assert isinstance(found, Unavailable)
    assert found.cause == Cause("http-4xx", status)


@pytest.mark.parametrize("code", TOO_MANY)
def test_what_comes_too_fast_is_throttled(code: int) -> None:
    found = told(said(429 if code == 20429 else 400, code, TOO_MANY[code]))
    assert isinstance(found, Unavailable)
    assert (found.throttled, found.retry_after) == (True, None)


@pytest.mark.parametrize("code", USED_UP)
def test_a_day_that_is_used_up_is_a_long_pause(code: int) -> None:
    found = told(said(429, code, USED_UP[code]))
    assert isinstance(found, Unavailable)
    assert (found.throttled, found.retry_after) == (True, LONGEST_PAUSE)


@pytest.mark.parametrize("code", PASSING)
def test_trouble_at_twilio_passes(code: int) -> None:
    found = told(said(400, code, PASSING[code]))
    assert found == Unavailable(f"twilio answered 400: {code}: {PASSING[code]}")


def test_the_tables_above_are_those_of_the_module() -> None:
    assert set(WRONG_ACCOUNT) == OF_ACCOUNT
    assert set(TOO_MANY) == THROTTLED
    assert set(USED_UP) == DAILY
    assert set(PASSING) == TRANSIENT


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, Refused("twilio answered 301")),
        (400, Refused("twilio answered 400")),
        (401, Unavailable("twilio answered 401")),
        (403, Unavailable("twilio answered 403")),
        (404, Unavailable("twilio answered 404")),
        (408, Unavailable("twilio answered 408")),
        (422, Refused("twilio answered 422")),
        (429, Unavailable("twilio answered 429", throttled=True)),
        (500, Unavailable("twilio answered 500")),
        (502, Unavailable("twilio answered 502")),
        (503, Unavailable("twilio answered 503")),
        (504, Unanswered("twilio answered 504")),
    ],
)
def test_without_a_code_the_status_counts(status: int, expected: Attempt) -> None:
    assert told(Response(status, {}, b"<html>")) == expected


@pytest.mark.parametrize("status", [401, 403, 404])
def test_credentials_are_no_fault_of_a_message(status: int) -> None:
    found = told(said(status, 20404))
    assert isinstance(found, Unavailable)
    assert found.cause == Cause("http-4xx", status)


def test_a_message_refused_with_403_refuses_no_other() -> None:
    assert isinstance(told(said(403, 21408)), Refused)


def test_retry_after_is_obeyed() -> None:
    headers = {"retry-after": "7"}
    assert told(Response(429, headers, b"{}")) == Unavailable(
        "twilio answered 429", 7.0, throttled=True
    )
    assert told(Response(503, headers, b"{}")) == Unavailable("twilio answered 503", 7.0)


def test_errors_in_the_newer_shape_are_read_too() -> None:
    body = {"type": "x", "title": "Invalid", "status": 400, "detail": "no To", "code": 21604}
    found = told(Response(400, {}, json.dumps(body).encode()))
    assert found == Refused("twilio answered 400: 21604: no To")


def test_what_was_not_sent_or_not_answered_stays_so() -> None:
    assert told(NotSent("connection refused")) == Unavailable("twilio: connection refused")
    assert told(NotSent("none", again_in=1.0)) == Postponed("twilio: none", 1.0)
    assert told(NotAnswered("reset")) == Unanswered("twilio: reset")


def test_neither_number_nor_text_is_told() -> None:
    message = "The 'To' number +393331234567 is no number: Your order left."
    found = told(said(400, 21211, message))
    assert found == Refused(
        "twilio answered 400: 21211: The 'To' number [address] is no number: [text]"
    )


@given(st.binary(max_size=100), st.integers(200, 599))
def test_no_answer_raises(body: bytes, status: int) -> None:
    assert isinstance(told(Response(status, {}, body)), Attempt)
