"""The mail service's adapter, against a stand-in on a socket (contracts 1.2)."""

from __future__ import annotations

import pytest

from carillon.http_client.httpx_client import HttpxWire
from carillon.messages.model import (
    Accepted,
    Attachment,
    EmailContent,
    MailExtras,
    Refused,
    Unavailable,
)
from carillon.providers.mail_service import MailService
from tests.neighbours.http import Answer, mia_error, serve
from tests.neighbours.mail_service import MailService as StandIn
from tests.neighbours.mail_service import SentFile
from tests.providers.deliveries import Starts, delivery, email, sms

PDF = Attachment("offer.pdf", bytes(range(256)), "application/pdf")


async def test_a_plain_mail_is_one_json_call(wire: HttpxWire) -> None:
    starts = Starts()
    async with serve(StandIn()) as server:
        assert await MailService(server.url, wire).send(email(), starts) == Accepted()
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/send")
    assert request.json() == {
        "recipient": "mario.rossi@example.com",
        "subject": "Order 7",
        "sender": "shop@example.com",
        "message": "Your order left.",
    }
    assert len(starts.times) == 1


async def test_an_html_mail_has_no_plain_body(wire: HttpxWire) -> None:
    content = EmailContent("Ordine", html="<p>Perch\u00e9 \u2709</p>")
    async with serve(StandIn()) as server:
        await MailService(server.url, wire).send(delivery("email", content), Starts())
    body = server.requests[0].json()
    assert isinstance(body, dict)
    assert body["htmlMessage"] == content.html
    assert "message" not in body


async def test_copies_go_with_the_mail(wire: HttpxWire) -> None:
    stand_in = StandIn()
    extras = MailExtras(["a@x.it", "b@x.it"], ["c@x.it"])
    async with serve(stand_in) as server:
        await MailService(server.url, wire).send(email(mail=extras), Starts())
    (mail,) = stand_in.mails
    assert (mail.cc, mail.bcc) == (["a@x.it", "b@x.it"], ["c@x.it"])


async def test_attachments_make_it_multipart_with_from_and_a_part_for_each(
    wire: HttpxWire,
) -> None:
    stand_in = StandIn()
    text = Attachment("note.txt", b"--\r\nnot a boundary\r\n", "text/plain; charset=utf-8")
    extras = MailExtras(["a@x.it", "b@x.it"], ["c@x.it"], [PDF, text])
    async with serve(stand_in) as server:
        sent = await MailService(server.url, wire).send(email("Perch\u00e9", mail=extras), Starts())
    assert sent == Accepted()
    (mail,) = stand_in.mails
    assert (mail.recipients, mail.sender) == (["mario.rossi@example.com"], "shop@example.com")
    assert (mail.cc, mail.bcc) == (["a@x.it", "b@x.it"], ["c@x.it"])
    assert (mail.message, mail.html_message) == ("Perch\u00e9", None)
    assert mail.files == [
        SentFile("file1", "offer.pdf", "application/pdf", PDF.content),
        SentFile("file2", "note.txt", "text/plain; charset=utf-8", text.content),
    ]


@pytest.mark.parametrize(
    ("name", "raw"),
    [
        ('quo"te.pdf', b"quo%22te.pdf"),
        ("a\r\nx-evil: 1.pdf", b"a%0D%0Ax-evil: 1.pdf"),
        ("perch\u00e9.pdf", "perch\u00e9.pdf".encode()),
    ],
)
async def test_file_names_cannot_leave_their_line(wire: HttpxWire, name: str, raw: bytes) -> None:
    stand_in = StandIn()
    extras = MailExtras(attachments=[Attachment(name, b"x", "text/plain")])
    async with serve(stand_in) as server:
        await MailService(server.url, wire).send(email(mail=extras), Starts())
    assert b'; filename="%b"\r\n' % raw in server.requests[0].body
    assert len(stand_in.mails[0].files) == 1


@pytest.mark.parametrize(
    "media_type", ["", "text/plain\r\nx-evil: 1", "text", "perch\u00e9/x", "a/b;"]
)
async def test_a_media_type_that_is_none_becomes_octets(wire: HttpxWire, media_type: str) -> None:
    stand_in = StandIn()
    extras = MailExtras(attachments=[Attachment("a", b"x", media_type)])
    async with serve(stand_in) as server:
        await MailService(server.url, wire).send(email(mail=extras), Starts())
    assert stand_in.mails[0].files[0].media_type == "application/octet-stream"


async def test_header_like_texts_stay_inside_their_parts(wire: HttpxWire) -> None:
    stand_in = StandIn()
    text = 'x\r\n--\r\ncontent-disposition: form-data; name="bcc"\r\n\r\nevil@x.it'
    extras = MailExtras(attachments=[PDF])
    async with serve(stand_in) as server:
        await MailService(server.url, wire).send(email(text, mail=extras), Starts())
    assert (stand_in.mails[0].message, stand_in.mails[0].bcc) == (text, [])


async def test_a_lone_surrogate_does_not_crash_it(wire: HttpxWire) -> None:
    adapter_mail = email("a\ud800b")
    with_file = email("a\ud800b", mail=MailExtras(attachments=[PDF]))
    async with serve(StandIn()) as server:
        adapter = MailService(server.url, wire)
        assert await adapter.send(adapter_mail, Starts()) == Accepted()
        assert await adapter.send(with_file, Starts()) == Accepted()


@pytest.mark.parametrize("base", ["/mail", "/mail/", "/"])
async def test_the_base_may_have_a_path(wire: HttpxWire, base: str) -> None:
    async with serve(StandIn()) as server:
        await MailService(server.url + base, wire).send(email(), Starts())
    assert server.requests[0].path == base.rstrip("/") + "/send"


async def test_a_refusal_says_why_without_the_address(wire: HttpxWire) -> None:
    answer = mia_error(400, "recipient mario.rossi@example.com is suppressed")
    async with serve(StandIn(answer)) as server:
        attempt = await MailService(server.url, wire).send(email(), Starts())
    assert attempt == Refused("mail-service answered 400: recipient [address] is suppressed")


async def test_a_busy_service_is_unavailable(wire: HttpxWire) -> None:
    async with serve(StandIn(Answer(503, headers={"retry-after": "2"}))) as server:
        attempt = await MailService(server.url, wire).send(email(), Starts())
    assert attempt == Unavailable("mail-service answered 503", 2.0)


async def test_another_channels_content_is_a_bug(wire: HttpxWire) -> None:
    with pytest.raises(TypeError, match="mails only"):
        await MailService("http://127.0.0.1:1", wire).send(sms(), Starts())
