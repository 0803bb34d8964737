"""What SMTP servers say: taken apart, and what each kind of it means."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.messages.model import Cause, Refused, Unavailable
from carillon.providers.smtp.replies import (
    Meaning,
    NotSmtp,
    Replies,
    SmtpReply,
    Stage,
    failed,
    meaning,
    message_id,
)
from tests.providers.deliveries import email

BEFORE: tuple[Stage, ...] = ("the connection", "EHLO", "STARTTLS", "AUTH", "RSET")
OF_MAIL: tuple[Stage, ...] = ("MAIL", "RCPT", "DATA", "the message")


def reply(text: str) -> SmtpReply:
    replies = Replies()
    replies.feed(f"{text}\r\n".encode())
    made = replies.take()
    assert made is not None
    return made


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ("250 Ok", SmtpReply(250, ("Ok",))),
        ("250", SmtpReply(250, ("",))),
        ("250-a\r\n250-b c\r\n250 d", SmtpReply(250, ("a", "b c", "d"))),
        ("550 5.1.1 No such user", SmtpReply(550, ("No such user",), "5.1.1")),
        ("550-5.7.1 No\r\n550 5.7.1  way", SmtpReply(550, ("No", "way"), "5.7.1")),
        ("550 4.1.1 No", SmtpReply(550, ("4.1.1 No",))),
        ("250 2.0.0", SmtpReply(250, ("",), "2.0.0")),
        ("250 Perch\u00e9", SmtpReply(250, ("Perch\u00e9",))),
    ],
)
def test_a_reply_is_taken_apart(said: str, made: SmtpReply) -> None:
    assert reply(said) == made


@given(st.lists(st.integers(0, 30)))
def test_it_may_come_in_pieces(cuts: list[int]) -> None:
    said = b"250-a\r\n250 2.0.0 b\r\n354 c\r\n"
    replies, found, at = Replies(), [], 0
    for end in [*sorted(cuts), len(said)]:
        replies.feed(said[at:end])
        at = max(at, min(end, len(said)))
        while (one := replies.take()) is not None:
            found.append(one)
    assert found == [SmtpReply(250, ("a", "2.0.0 b")), SmtpReply(354, ("c",))]
    assert replies.is_empty


@pytest.mark.parametrize(
    "said",
    [
        "HTTP/1.1 400 Bad Request",
        "25 Ok",
        "2500 Ok",
        "250Ok",
        "199 Hm",
        "650 Hm",
        "",
        "250-a\r\n251 b",
        "250 a\rb",
        "250 a\0",
        "x" * 70_000,
        "250-" + "x" * 70_000,
        "250-a\r\n" * 20_000,
    ],
)
def test_what_is_no_reply_is_not_believed(said: str) -> None:
    replies = Replies()
    replies.feed(f"{said}\r\n".encode())
    with pytest.raises(NotSmtp):
        replies.take()


def test_a_line_without_end_is_not_kept() -> None:
    replies = Replies()
    replies.feed(b"x" * 60_000)
    assert replies.take() is None
    replies.feed(b"x" * 6_000)
    with pytest.raises(NotSmtp):
        replies.take()


ANY: tuple[tuple[str, Meaning], ...] = (
    ("421 4.3.2 Shutting down", "unavailable"),
    ("432 4.7.12 A password transition is needed", "unavailable"),
    ("450 4.2.1 Mailbox busy", "unavailable"),
    ("451 4.3.0 Try again later", "unavailable"),
    ("452 4.3.1 Insufficient system storage", "unavailable"),
    ("454 4.7.0 Temporary authentication failure", "unavailable"),
    ("455 4.5.1 Parameters not accommodated", "unavailable"),
)
MAIL: tuple[tuple[Stage, str, Meaning], ...] = (
    ("MAIL", "501 5.1.7 Bad sender address syntax", "refused-message"),
    ("MAIL", "530 5.7.0 Authentication required", "unavailable"),
    ("MAIL", "535 5.7.8 Bad credentials", "unavailable"),
    ("MAIL", "550 5.7.1 Sender not allowed", "refused"),
    ("MAIL", "550 No", "refused"),
    ("MAIL", "552 5.3.4 Message size exceeds fixed limit", "refused-message"),
    ("MAIL", "553 5.7.1 Sender address rejected: not owned by user", "refused"),
    ("MAIL", "555 5.5.4 Unsupported option", "refused"),
    ("MAIL", "503 5.5.1 Bad sequence", "refused"),
    ("RCPT", "450 4.7.1 Greylisted, try again in 300 seconds", "unavailable"),
    ("RCPT", "450 4.2.1 The user is receiving mail too fast", "unavailable"),
    ("RCPT", "452 4.5.3 Too many recipients", "unavailable"),
    ("RCPT", "450 4.7.1 Error: too much mail from 192.0.2.1", "throttled"),
    ("RCPT", "550 5.1.1 No such user", "refused-message"),
    ("RCPT", "550 No such user", "refused-message"),
    ("RCPT", "551 5.1.6 User has moved", "refused-message"),
    ("RCPT", "552 5.2.2 Mailbox full", "unavailable"),
    ("RCPT", "552 Too many recipients", "unavailable"),
    ("RCPT", "552 5.3.4 Too large for this user", "refused-message"),
    ("RCPT", "550 5.2.1 Mailbox disabled", "refused-message"),
    ("RCPT", "553 5.1.3 Bad address syntax", "refused-message"),
    ("RCPT", "554 5.7.1 Relay access denied", "refused"),
    ("RCPT", "556 5.1.10 Domain does not accept mail", "refused-message"),
    ("DATA", "451 4.3.5 Server configuration error", "unavailable"),
    ("DATA", "503 5.5.1 RCPT first", "refused"),
    ("DATA", "554 5.5.1 No valid recipients", "refused"),
    ("the message", "421 4.7.28 Unusual rate of mail: rate limited", "throttled"),
    ("the message", "451 4.7.1 Greylisted", "unavailable"),
    ("the message", "451 4.7.500 Server busy", "throttled"),
    ("the message", "452 4.3.1 Insufficient storage", "unavailable"),
    ("the message", "454 Throttling failure: Maximum sending rate exceeded.", "throttled"),
    ("the message", "454 Throttling failure: Daily message quota exceeded.", "throttled"),
    ("the message", "550 5.7.1 Message contains spam", "refused"),
    ("the message", "552 5.3.4 Message too big", "refused-message"),
    ("the message", "552 5.2.2 Over quota", "unavailable"),
    ("the message", "554 5.6.0 Message content rejected", "refused-message"),
    ("the message", "554 Transaction failed", "refused"),
    ("the message", "554 Message rejected: Email address is not verified.", "refused"),
)


@pytest.mark.parametrize("stage", get_args(Stage))
@pytest.mark.parametrize(("said", "means"), ANY)
def test_a_passing_trouble_is_one_wherever_it_comes(
    stage: Stage, said: str, means: Meaning
) -> None:
    assert meaning(reply(said), stage) == means


@pytest.mark.parametrize("stage", BEFORE)
@pytest.mark.parametrize("code", [500, 502, 504, 521, 530, 534, 535, 538, 550, 554])
def test_before_a_mail_is_begun_none_is_refused(stage: Stage, code: int) -> None:
    assert meaning(reply(f"{code} No"), stage) == "unavailable"


def test_too_many_connections_are_a_pause() -> None:
    assert meaning(reply("421 4.7.0 Too many connections"), "the connection") == "throttled"
    assert meaning(reply("421 Too many concurrent SMTP connections"), "EHLO") == "throttled"


@pytest.mark.parametrize(("stage", "said", "means"), MAIL)
def test_every_kind_of_failure_has_a_meaning(stage: Stage, said: str, means: Meaning) -> None:
    assert meaning(reply(said), stage) == means


@pytest.mark.parametrize("stage", OF_MAIL)
@pytest.mark.parametrize("code", range(200, 600, 7))
def test_no_reply_is_without_a_meaning(stage: Stage, code: int) -> None:
    made = failed(reply(f"{code} Words"), stage, email())
    assert made.error == f"smtp answered {code} to {stage}: Words"
    assert made.cause is not None
    assert made.cause.status == code
    kind = "garbage" if code < 400 else f"smtp-{code // 100}xx"
    assert made.cause.kind == kind
    assert isinstance(made, Refused if code >= 500 and code != 552 else Unavailable | Refused)
    assert isinstance(made, Unavailable) or code >= 500


def test_what_is_of_the_message_says_nothing_of_the_server() -> None:
    of_message = failed(reply("550 5.1.1 No such user"), "RCPT", email())
    assert of_message.cause == Cause("smtp-5xx", 550, of_message=True)
    of_server = failed(reply("554 5.7.1 Relay access denied"), "RCPT", email())
    assert of_server.cause == Cause("smtp-5xx", 554)
    throttled = failed(reply("454 Throttling failure"), "the message", email())
    assert isinstance(throttled, Unavailable)
    assert throttled.throttled


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("250 2.0.0 Ok: queued as 4F7A9C", "4F7A9C"),
        ("250 2.0.0 1d2c3e4f Message accepted for delivery", "1d2c3e4f"),
        ("250 OK id=1sGkIz-0003gI-2W", "1sGkIz-0003gI-2W"),
        ("250 Ok 0102018f3b2c4d5e-abc-000000", "0102018f3b2c4d5e-abc-000000"),
        ("250 2.6.0 <a@b> Queued mail for delivery", None),
        ("250 OK", None),
        ("250", None),
    ],
)
def test_the_servers_name_for_a_mail_is_kept(said: str, name: str | None) -> None:
    assert message_id(reply(said)) == name
