"""An SMTP server as a provider, against a stand-in on a socket (contracts 2.5)."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from carillon.messages.model import (
    Accepted,
    Attachment,
    Attempt,
    Cause,
    Delivery,
    EmailContent,
    MailExtras,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.messages.secret import Secret
from carillon.providers.smtp.provider import IDLE_SECONDS, Smtp
from carillon.providers.smtp.server import SmtpServer as Where
from carillon.providers.smtp.session import Account
from tests.neighbours.smtp import SmtpScript, SmtpServer, smtp_server
from tests.providers.deliveries import Starts, delivery, email, sms
from tests.providers.mail.readers import by_python

PLAIN = Where("127.0.0.1", 25, "none")
STARTTLS = Where("127.0.0.1", 587, "starttls")
TLS = Where("127.0.0.1", 465, "tls")
ADA = Account("ada", "pa\u00dfword")
KNOWN = {"ada": "pa\u00dfword"}


@asynccontextmanager
async def provider(
    script: SmtpScript | None = None, where: Where = PLAIN, **keys: object
) -> AsyncIterator[tuple[Smtp, SmtpServer]]:
    async with smtp_server(script) as server:
        made = Smtp(where, connect=server.connect, **keys)  # type: ignore[arg-type]
        try:
            yield made, server
        finally:
            await made.aclose()


async def sent(script: SmtpScript, one: Delivery | None = None, **keys: object) -> Attempt:
    async with provider(script, **keys) as (smtp, _):  # type: ignore[arg-type]
        return await smtp.send(one or email(), Starts())


@pytest.fixture
def trust(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


async def test_a_mail_is_one_transaction() -> None:
    starts = Starts()
    async with provider() as (smtp, server):
        assert await smtp.send(email("Your order left.\n.\n..\n"), starts) == Accepted("4F7A9")
        (mail,) = server.mails
    assert (mail.sender, mail.recipients) == ("shop@example.com", ["mario.rossi@example.com"])
    assert by_python(mail.message).text == "Your order left.\n.\n..\n\n"
    assert (
        server.commands
        == [
            "EHLO [127.0.0.1]",
            f"MAIL FROM:<shop@example.com> SIZE={len(mail.message)}",
            "RCPT TO:<mario.rossi@example.com>",
            "DATA",
            "QUIT",
        ][: len(server.commands)]
    )
    assert len(starts.times) == 1


async def test_a_connection_is_used_again_after_a_reset() -> None:
    async with provider(name="mail.example.com") as (smtp, server):
        for _ in range(3):
            assert await smtp.send(email(), Starts()) == Accepted("4F7A9")
    assert len(server.wires) == 1
    assert [one.partition(" ")[0] for one in server.commands[:9]] == [
        "EHLO",
        "MAIL",
        "RCPT",
        "DATA",
        "RSET",
        "MAIL",
        "RCPT",
        "DATA",
        "RSET",
    ]
    assert server.commands[0] == "EHLO mail.example.com"


async def test_calls_that_are_open_at_once_have_a_connection_each() -> None:
    async with provider() as (smtp, server):
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(smtp.send, email(), Starts())
        assert (len(server.mails), len(server.wires)) == (5, 5)


async def test_an_idle_connection_is_left_after_a_while(autojump_clock: MockClock) -> None:
    autojump_clock.autojump_threshold = 0.05
    async with provider() as (smtp, server):
        await smtp.send(email(), Starts())
        await trio.sleep(IDLE_SECONDS + 1)
        assert server.commands[-1] == "QUIT"
        assert await smtp.send(email(), Starts()) == Accepted("4F7A9")
        assert len(server.wires) == 2


async def test_a_connection_that_the_server_closed_costs_nothing() -> None:
    answers = {"MAIL": ["", "421 4.4.2 Timeout", ""], "RSET": ""}
    async with provider(SmtpScript(answers=answers)) as (smtp, server):
        assert await smtp.send(email(), Starts()) == Accepted("4F7A9")
        assert await smtp.send(email(), Starts()) == Accepted("4F7A9")
        await server.wires[-1].aclose()
        assert await smtp.send(email(), Starts()) == Accepted("4F7A9")
        assert (len(server.mails), len(server.wires)) == (3, 3)


@pytest.mark.parametrize("where", [STARTTLS, TLS], ids=lambda one: one.security)
async def test_tls_and_account_come_first(
    where: Where, server_tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    script = SmtpScript(tls=server_tls, implicit=where is TLS, accounts=KNOWN)
    async with provider(script, where, tls=trust, account=ADA) as (smtp, server):
        assert await smtp.send(email(), Starts()) == Accepted("4F7A9")
        big = MailExtras(attachments=[Attachment("a", bytes(300_000))])
        assert await smtp.send(email(mail=big), Starts()) == Accepted("4F7A9")
        assert by_python(server.mails[1].message).files[0].content == bytes(300_000)


async def test_a_certificate_that_is_not_trusted_is_refused(server_tls: ssl.SSLContext) -> None:
    for where in (STARTTLS, TLS):
        script = SmtpScript(tls=server_tls, implicit=where is TLS)
        starts = Starts()
        async with provider(script, where) as (smtp, server):
            attempt = await smtp.send(email(), starts)
        assert attempt == Unavailable("smtp: TLS certificate not accepted")
        assert attempt.cause == Cause("tls")
        assert not starts.times
        assert not any(one.startswith(("AUTH", "MAIL")) for one in server.commands)


async def test_without_starttls_nothing_is_said() -> None:
    async with provider(SmtpScript(accounts=KNOWN), STARTTLS, account=ADA) as (smtp, server):
        attempt = await smtp.send(email(), Starts())
    error = "smtp: the server offers no STARTTLS, which smtp:// demands"
    assert attempt == Unavailable(error)
    assert not any(one.startswith(("AUTH", "MAIL")) for one in server.commands)


async def test_what_is_said_in_the_clear_after_starttls_is_not_believed(
    server_tls: ssl.SSLContext, trust: ssl.SSLContext
) -> None:
    answers = {"STARTTLS": "220 Go on\r\n250-evil\r\n250 AUTH PLAIN"}
    script = SmtpScript(tls=server_tls, answers=answers, accounts=KNOWN)
    async with provider(script, STARTTLS, tls=trust, account=ADA) as (smtp, server):
        attempt = await smtp.send(email(), Starts())
    assert attempt == Unavailable("smtp: the server went on in the clear after STARTTLS")
    assert not any(one.startswith(("AUTH", "MAIL")) for one in server.commands)


def token(text: str) -> Callable[[], str]:
    return lambda: text


def no_token() -> str:
    raise ValueError("/token: holds no access token")


@pytest.mark.parametrize(
    ("account", "how"),
    [
        (ADA, "AUTH PLAIN LOGIN"),
        (ADA, "AUTH LOGIN"),
        (Account("ada", token=token("pa\u00dfword")), "AUTH PLAIN XOAUTH2"),
    ],
)
async def test_an_account_is_shown_in_the_way_that_the_server_knows(
    account: Account, how: str
) -> None:
    script = SmtpScript(answers={"EHLO": f"250-x\r\n250 {how}"}, accounts=KNOWN)
    assert await sent(script, account=account) == Accepted("4F7A9")


@pytest.mark.parametrize(
    ("account", "how", "error"),
    [
        (Account("ada", "SECRET"), "AUTH PLAIN", "smtp answered 535 5.7.8 to AUTH: No"),
        (Account("ada", "SECRET"), "AUTH LOGIN", "smtp answered 535 5.7.8 to AUTH: No"),
        (
            Account("ada", token=token("SECRET")),
            "AUTH XOAUTH2",
            "smtp answered 535 5.7.8 to AUTH: No",
        ),
        (ADA, "AUTH CRAM-MD5", "smtp: the server offers neither AUTH PLAIN nor LOGIN"),
        (ADA, "HELP", "smtp: the server offers neither AUTH PLAIN nor LOGIN"),
        (
            Account("ada", token=token("t")),
            "AUTH PLAIN",
            "smtp: the server offers no AUTH XOAUTH2",
        ),
        (
            Account("ada", token=no_token),
            "AUTH XOAUTH2",
            "smtp: credentials.tokenFile /token: holds no access token",
        ),
    ],
)
async def test_an_account_that_is_not_known_keeps_the_mail(
    account: Account, how: str, error: str
) -> None:
    script = SmtpScript(answers={"EHLO": f"250-x\r\n250 {how}"}, accounts=KNOWN)
    assert await sent(script, account=account) == Unavailable(error)


async def test_a_refused_recipient_is_refused_and_the_next_mail_goes_on() -> None:
    answers = {"bad@x.it": "550 5.1.1 <bad@x.it>: no such user"}
    starts = Starts()
    async with provider(SmtpScript(answers=answers)) as (smtp, server):
        copied = MailExtras(["b@x.it"])
        for extras in (None, copied):
            attempt = await smtp.send(email(address="bad@x.it", mail=extras), starts)
            why = "smtp answered 550 5.1.1 to RCPT: <[address]>: no such user"
            assert attempt == Refused(why)
            assert attempt.cause == Cause("smtp-5xx", 550, of_message=True)
        assert await smtp.send(email(), starts) == Accepted("4F7A9")
        assert (len(server.mails), len(server.wires)) == (1, 1)
    assert len(starts.times) == 1


async def test_a_copy_that_is_refused_does_not_keep_the_mail_back() -> None:
    answers = {"bad@x.it": "550 5.1.1 no such user", "busy@x.it": "451 4.7.1 later"}
    extras = MailExtras(["bad@x.it", "a@x.it"], ["busy@x.it"])
    async with provider(SmtpScript(answers=answers)) as (smtp, server):
        assert await smtp.send(email(mail=extras), Starts()) == Accepted("4F7A9")
        assert server.mails[0].recipients == ["mario.rossi@example.com", "a@x.it"]


async def test_a_hundred_copies_are_named_in_blocks() -> None:
    extras = MailExtras([f"{number}@x.it" for number in range(130)])
    async with provider() as (smtp, server):
        assert await smtp.send(email(mail=extras), Starts()) == Accepted("4F7A9")
        assert len(server.mails[0].recipients) == 131


async def test_without_pipelining_each_command_waits_for_its_reply() -> None:
    script = SmtpScript(knows=["SIZE"], answers={"bad@x.it": "550 5.1.1 no such user"})
    async with provider(script) as (smtp, server):
        assert isinstance(await smtp.send(email(address="bad@x.it"), Starts()), Refused)
        assert "DATA" not in server.commands
        assert await smtp.send(email(), Starts()) == Accepted("4F7A9")
        assert (len(server.mails), len(server.wires)) == (1, 1)


async def test_a_server_that_waits_for_a_message_after_a_refusal_gets_none() -> None:
    answers = {"bad@x.it": "550 5.1.1 no such user", "DATA": "354 Go on"}
    async with provider(SmtpScript(answers=answers)) as (smtp, server):
        assert isinstance(await smtp.send(email(address="bad@x.it"), Starts()), Refused)
        assert await smtp.send(email(), Starts()) == Accepted("4F7A9")
        assert (len(server.mails), len(server.wires)) == (1, 2)


async def test_an_old_server_is_greeted_as_of_old() -> None:
    answers = {"EHLO": "502 5.5.1 What?", "HELO": "250 Hello"}
    assert await sent(SmtpScript(answers=answers)) == Accepted("4F7A9")


async def test_a_mail_that_is_too_large_is_not_sent() -> None:
    script = SmtpScript(knows=["SIZE 200"])
    async with provider(script) as (smtp, server):
        attempt = await smtp.send(email("x" * 300), Starts())
        assert isinstance(attempt, Refused)
        assert attempt.error.startswith("smtp: the mail has ")
        assert attempt.error.endswith(" bytes, and the server takes 200")
        assert not server.mails


async def test_smtputf8_is_used_where_it_is_known_and_needed() -> None:
    one = email(address="r\u00f6ssi@x.it")
    async with provider() as (smtp, server):
        assert await smtp.send(one, Starts()) == Accepted("4F7A9")
        assert await smtp.send(email(address="a@b\u00fccher.example"), Starts()) == Accepted(
            "4F7A9"
        )
        assert server.commands[1].endswith(" BODY=8BITMIME SMTPUTF8")
        assert "SMTPUTF8" not in server.commands[5]
        assert [one.recipients for one in server.mails] == [
            ["r\u00f6ssi@x.it"],
            ["a@xn--bcher-kva.example"],
        ]
    error = "smtp: an address is not ASCII, and the server does not know SMTPUTF8"
    assert await sent(SmtpScript(knows=[]), one) == Refused(error)


async def test_no_address_makes_a_command() -> None:
    for address in ("a@x.it> SIZE=1\r\nDATA", "a@x.it>\r\nRCPT TO:<b@x.it", "a@x.it\0"):
        async with provider() as (smtp, server):
            for one in (email(address=address), replace(email(), sender=address)):
                assert isinstance(await smtp.send(one, Starts()), Refused)
            assert not server.wires


async def test_a_refusal_in_the_middle_of_a_message_is_one() -> None:
    big = email(mail=MailExtras(attachments=[Attachment("a", bytes(10_000_000))]))
    script = SmtpScript(knows=["PIPELINING"], early="552 5.3.4 Too large")
    async with provider(script) as (smtp, server):
        attempt = await smtp.send(big, Starts())
        assert attempt == Refused("smtp answered 552 5.3.4 to the message: Too large")
        assert not server.mails


async def test_a_yes_in_the_middle_of_a_message_is_not_one() -> None:
    script = SmtpScript(answers={"DATA": "354 Go on\r\n250 2.0.0 Ok"})
    async with provider(script) as (smtp, server):
        attempt = await smtp.send(email(), Starts())
        assert attempt == Unavailable("smtp answered 250 to the message")
        assert not server.mails


async def test_a_reply_too_many_ends_the_connection() -> None:
    async with provider(SmtpScript(extra="\r\n250 2.0.0 Again")) as (smtp, server):
        assert await smtp.send(email(), Starts()) == Accepted("4F7A9")
        assert await smtp.send(email(), Starts()) == Accepted("4F7A9")
        assert (len(server.mails), len(server.wires)) == (2, 2)


async def test_an_answer_that_does_not_come_leaves_the_outcome_open(
    autojump_clock: MockClock,
) -> None:
    autojump_clock.autojump_threshold = 0.05
    async with provider(SmtpScript(answers={".": "hang"})) as (smtp, server):
        with trio.move_on_after(30) as scope:
            attempt = await smtp.send(email(), Starts())
        assert not scope.cancelled_caught
        assert attempt == Unanswered("smtp: no answer in time")
        assert len(server.mails) == 1


async def test_what_the_server_says_shows_no_address_and_no_text() -> None:
    said = "550 5.7.1 mario.rossi@example.com and b@x.it may not have Your order left."
    attempt = await sent(SmtpScript(answers={".": said}))
    assert attempt == Refused(
        "smtp answered 550 5.7.1 to the message: [address] and [address] may not have [text]"
    )


async def test_the_list_can_be_left_by_a_url_with_the_deliverys_id() -> None:
    async with provider(unsubscribe="https://x.it/u/{deliveryId}") as (smtp, server):
        await smtp.send(email(), Starts())
        url = f"\r\nList-Unsubscribe: <https://x.it/u/{'d' * 32}>\r\n"
        assert url.encode() in server.mails[0].message


async def test_a_long_html_is_made_in_a_thread_and_arrives() -> None:
    html = "<p>Perch\u00e9 no?</p>" * 10_000
    one = delivery("email", EmailContent("Order", html=html))
    async with provider(SmtpScript(knows=["PIPELINING"])) as (smtp, server):
        assert await smtp.send(one, Starts()) == Accepted("4F7A9")
        assert by_python(server.mails[0].message).html == html


async def test_it_says_why_it_cannot_be_reached(server_tls: ssl.SSLContext) -> None:
    async with provider() as (smtp, server):
        assert await smtp.reach() is None
        assert not server.mails
    async with provider(SmtpScript(answers={"": "554 5.3.2 Closed"})) as (smtp, _):
        assert await smtp.reach() == "smtp answered 554 5.3.2 to the connection: Closed"
    async with provider(SmtpScript(tls=server_tls), STARTTLS) as (smtp, _):
        assert await smtp.reach() == "smtp: TLS certificate not accepted"
    nowhere = Smtp(Where("nobody.invalid", 25, "none"))
    assert await nowhere.reach() == "smtp: host name not found"
    assert await nowhere.send(email(), Starts()) == Unavailable("smtp: host name not found")


async def test_another_channels_content_is_a_bug() -> None:
    with pytest.raises(TypeError, match="only an email"):
        await Smtp(PLAIN).send(sms(), Starts())


def test_its_account_is_shown_nowhere() -> None:
    where = Where("x.it", 587, "starttls", "ada", Secret("PASS"))
    assert "ada" not in repr(where) + str(where)
    assert "PASS" not in repr(where) + str(where) + repr(ADA)
