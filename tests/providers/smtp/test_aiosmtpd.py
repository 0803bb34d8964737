"""An SMTP server that nobody here wrote: aiosmtpd, with STARTTLS, TLS, AUTH and its own answers."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from carillon.messages.model import (
    Accepted,
    Attachment,
    EmailContent,
    MailExtras,
    Refused,
    Unavailable,
)
from carillon.providers.config import BuildContext
from carillon.providers.smtp.provider import Smtp, SmtpConfig
from carillon.settings.file.opening import read_start
from tests.docs.session import free_ports
from tests.providers.deliveries import Starts, delivery, email
from tests.providers.mail.readers import IS_THERE, by_node, by_python

pytestmark = pytest.mark.servers


class Sink:
    """Takes mails, but for those to `bad@` and `later@`, and those that mention a virus."""

    def __init__(self) -> None:
        self.mails: list[tuple[str, Sequence[str], bytes]] = []

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name
        self,
        server: SMTP,
        session: Session,
        envelope: Envelope,
        address: str,
        options: list[str],
    ) -> str:
        if address.startswith("bad@"):
            return "550 5.1.1 No such user"
        if address.startswith("later@"):
            return "451 4.7.1 Greylisted"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.original_content or b""
        if b"virus" in content:
            return "554 5.6.0 Rejected"
        self.mails.append((envelope.mail_from or "", envelope.rcpt_tos, content))
        return f"250 2.0.0 Ok: queued as M{len(self.mails):04}"


def authenticate(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: object
) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (b"ada", b"pa55")
    return AuthResult(success=right, handled=False)


@contextmanager
def aiosmtpd(sink: Sink, tls: ssl.SSLContext | None = None, **keys: object) -> Iterator[int]:
    (port,) = free_ports(1)
    account = {"authenticator": authenticate, "auth_required": True} if tls else {}
    starttls = {} if "ssl_context" in keys or tls is None else {"tls_context": tls}
    controller = Controller(
        sink,
        hostname="127.0.0.1",
        port=port,
        enable_SMTPUTF8=True,
        **{"require_starttls": bool(starttls), **account, **starttls, **keys},  # type: ignore[arg-type]
    )
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def built(url: str, certificate: Path | None = None, **credentials: object) -> Smtp:
    options = {} if certificate is None else {"caFile": str(certificate)}
    document = {"url": url, "options": options, "credentials": credentials}
    made = SmtpConfig.model_validate(document).build(BuildContext("smtp", None, None, read_start))  # type: ignore[arg-type]
    assert isinstance(made, Smtp)
    return made


async def test_a_rich_mail_arrives_and_two_readers_agree() -> None:
    sink = Sink()
    html = '<p>Perch\u00e9 <img src="cid:logo.png"></p>'
    files = [Attachment("logo.png", b"png", "image/png"), Attachment("a.bin", bytes(range(256)))]
    content = EmailContent("Ordine n\u00b0 7", text="Perch\u00e9?\n.\n", html=html)
    one = delivery("email", content, mail=MailExtras(["a@x.it"], ["b@x.it"], files))
    with aiosmtpd(sink) as port:
        smtp = built(f"smtp+plain://127.0.0.1:{port}")
        assert await smtp.send(one, Starts()) == Accepted("M0001")
        assert await smtp.send(email(address="r\u00f6ssi@x.it"), Starts()) == Accepted("M0002")
        await smtp.aclose()
    sender, recipients, message = sink.mails[0]
    assert (sender, recipients) == (
        "shop@example.com",
        ["mario.rossi@example.com", "a@x.it", "b@x.it"],
    )
    found = by_python(message)
    assert (found.subject, found.html, found.text) == (content.subject, html, content.text)
    assert [one.content for one in found.files] == [one.content for one in files]
    if IS_THERE:
        (other,) = by_node([message])
        assert (other.subject, other.to, other.cc) == (found.subject, found.to, found.cc)
        assert other.files == found.files


@pytest.mark.filterwarnings("ignore:Requiring AUTH")  # it does not see that all of it is TLS
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
async def test_tls_with_its_own_authority_and_an_account(
    scheme: str, server_tls: ssl.SSLContext, certificate: Path
) -> None:
    sink = Sink()
    implicit = {"ssl_context": server_tls, "auth_require_tls": False}
    keys: dict[str, object] = implicit if scheme == "smtps" else {}
    with aiosmtpd(sink, server_tls, **keys) as port:
        address = f"127.0.0.1:{port}"
        for smtp in (
            built(f"{scheme}://ada:pa55@{address}", certificate),
            built(f"{scheme}://{address}", certificate, user="ada", password="pa55"),
        ):
            assert await smtp.reach() is None
            for _ in range(3):
                assert isinstance(await smtp.send(email(), Starts()), Accepted)
            await smtp.aclose()
        for smtp, said in (
            (built(f"{scheme}://ada:PASS@{address}", certificate), "answered 535 5.7.8 to AUTH"),
            (built(f"{scheme}://{address}", certificate), "answered 530 5.7.0 to MAIL"),
            (built(f"{scheme}://ada:pa55@{address}"), ": TLS certificate not accepted"),
        ):
            attempt = await smtp.send(email(), Starts())
            assert isinstance(attempt, Unavailable)
            assert said in attempt.error
            await smtp.aclose()
    assert len(sink.mails) == 6


async def test_each_recipient_has_an_answer_of_its_own() -> None:
    sink = Sink()
    with aiosmtpd(sink) as port:
        smtp = built(f"smtp+plain://127.0.0.1:{port}")
        refused = await smtp.send(email(address="bad@x.it"), Starts())
        assert refused == Refused("smtp answered 550 5.1.1 to RCPT: No such user")
        later = await smtp.send(email(address="later@x.it"), Starts())
        assert later == Unavailable("smtp answered 451 4.7.1 to RCPT: Greylisted")
        infected = await smtp.send(email("a virus"), Starts())
        assert infected == Refused("smtp answered 554 5.6.0 to the message: Rejected")
        copies = MailExtras(["bad@x.it", "good@x.it"], ["later@x.it"])
        assert isinstance(await smtp.send(email(mail=copies), Starts()), Accepted)
        await smtp.aclose()
    ((_, recipients, _),) = sink.mails
    assert recipients == ["mario.rossi@example.com", "good@x.it"]


async def test_a_mail_that_is_too_large_for_it_is_refused_before_it_leaves() -> None:
    with aiosmtpd(Sink(), data_size_limit=2000) as port:
        smtp = built(f"smtp+plain://127.0.0.1:{port}")
        attempt = await smtp.send(email("x" * 2000), Starts())
        assert isinstance(attempt, Refused)
        assert "the server takes 2,000" in attempt.error
        assert isinstance(await smtp.send(email(), Starts()), Accepted)
        await smtp.aclose()
