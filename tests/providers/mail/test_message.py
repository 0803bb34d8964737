"""Mails that are made here, read back by what others wrote."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.messages.addresses import is_email, is_mailbox
from carillon.messages.model import Attachment, EmailContent, MailExtras
from carillon.providers.mail.headers import NotMailable
from carillon.providers.mail.html_text import text_of
from carillon.providers.mail.message import Mail, mail_of
from tests.properties import examples
from tests.providers.deliveries import delivery, email, sms
from tests.providers.mail.readers import IS_THERE, WHY_NOT, ReadFile, ReadMail, by_node, by_python
from tests.timing import quickest

NOW: Final = datetime(2026, 11, 29, 10, 30, tzinfo=UTC)
HEADERS: Final = ["from", "to", "subject", "date", "message-id", "mime-version"]
OF_BODY: Final = ["content-type", "content-transfer-encoding"]
PNG: Final = Attachment("logo.png", bytes(range(256)) * 3, "image/png")
PDF: Final = Attachment("Offerta n\u00b0 7.pdf", b"%PDF" * 100, "application/pdf")


def made(
    content: EmailContent,
    sender: str = "shop@example.com",
    address: str = "mario.rossi@example.com",
    mail: MailExtras | None = None,
    unsubscribe: str | None = None,
) -> Mail:
    one = replace(delivery("email", content, address, mail), sender=sender)
    mail_made = mail_of(one, NOW, unsubscribe)
    message = mail_made.whole()
    assert len(message) == mail_made.size
    assert all(piece.endswith(b"\r\n") for piece in mail_made.pieces())
    assert not re.search(rb"(?<!\r)\n|\r(?!\n)|\0", message)
    assert max(map(len, message.split(b"\r\n"))) <= 998
    return mail_made


def read(mail: Mail) -> ReadMail:
    return by_python(mail.whole())


def test_a_text_is_one_part() -> None:
    mail = made(EmailContent("Order 7", text="Your order left.\nBye."))
    assert (mail.sender, mail.recipients) == ("shop@example.com", ["mario.rossi@example.com"])
    assert not mail.is_international
    assert read(mail) == ReadMail(
        headers=[*HEADERS, *OF_BODY],
        sender=[("", "shop@example.com")],
        to=[("", "mario.rossi@example.com")],
        cc=[],
        subject="Order 7",
        text="Your order left.\nBye.\n",
        html=None,
        message_id=f"<{'d' * 32}@example.com>",
        date=NOW,
        files=[],
    )


def test_html_and_text_are_alternatives() -> None:
    found = read(made(EmailContent("Order", text="Left: \u20ac 7", html="<p>Left: \u20ac 7</p>")))
    assert (found.text, found.html) == ("Left: \u20ac 7", "<p>Left: \u20ac 7</p>")


def test_a_text_is_made_of_html_that_has_none() -> None:
    html = '<h1>Ciao</h1><p>Your <a href="https://x.it/7">order</a> left.</p>'
    found = read(made(EmailContent("Order", html=html)))
    assert found.text == "Ciao\n\nYour order (https://x.it/7) left."
    assert found.html == html


def test_a_text_that_shows_nothing_is_none() -> None:
    assert read(made(EmailContent("Order", text=" \n", html="<p>Left</p>"))).text == "Left"


def test_what_the_html_shows_is_inline_and_the_rest_is_attached() -> None:
    html = '<img src="cid:logo.png"><p>See the offer.</p>'
    extras = MailExtras(attachments=[PNG, PDF])
    found = read(made(EmailContent("Order", html=html), mail=extras))
    assert found.html == html
    assert found.files == [
        ReadFile("logo.png", "image/png", "inline", "logo.png", PNG.content),
        ReadFile(PDF.name, "application/pdf", "attachment", None, PDF.content),
    ]


def test_the_same_file_twice_is_shown_once_and_attached_once() -> None:
    extras = MailExtras(attachments=[PNG, replace(PNG)])
    found = read(made(EmailContent("Order", html="<img src='cid:logo.png'>"), mail=extras))
    assert [one.disposition for one in found.files] == ["inline", "attachment"]


def test_copies_are_named_and_blind_ones_are_not() -> None:
    extras = MailExtras(["a@x.it", "b@x.it", "a@x.it"], ["c@x.it"])
    mail = made(EmailContent("Order", text="Left."), mail=extras)
    assert mail.recipients == ["mario.rossi@example.com", "a@x.it", "b@x.it", "c@x.it"]
    assert read(mail).cc == [("", "a@x.it"), ("", "b@x.it")]
    assert b"c@x.it" not in mail.whole()


def test_a_list_can_be_left() -> None:
    url = "https://x.it/leave?u=1&k=A-b"
    found = made(EmailContent("News", text="."), unsubscribe=url).whole()
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in found
    assert b"\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n" in found
    by_mail = made(EmailContent("News", text="."), unsubscribe="mailto:leave@x.it").whole()
    assert b"\r\nList-Unsubscribe: <mailto:leave@x.it>\r\n" in by_mail
    assert b"List-Unsubscribe-Post" not in by_mail


@pytest.mark.parametrize(
    "url",
    [
        "",
        "x.it",
        "ftp://x.it",
        "https://x.it>\r\nBcc: a@x.it",
        "https://x.it/ a",
        "https://x.it/<",
        "https://x.it/" + "a" * 900,
        "https://x.it/\u00e9",
    ],
)
def test_a_list_cannot_be_left_by_what_is_no_url(url: str) -> None:
    with pytest.raises(NotMailable, match="List-Unsubscribe"):
        made(EmailContent("News", text="."), unsubscribe=url)


@pytest.mark.parametrize(
    ("address", "spelt"),
    [
        ("mario@b\u00fccher.example", "mario@xn--bcher-kva.example"),
        ("mario@stra\u00dfe.example", "mario@xn--strae-oqa.example"),
        ('"mario rossi"@example.com', '"mario rossi"@example.com'),
        ('"a>b, c@d"@example.com', '"a>b, c@d"@example.com'),
        ('"a\\"b"@example.com', '"a\\"b"@example.com'),
    ],
)
def test_addresses_of_every_kind_arrive(address: str, spelt: str) -> None:
    mail = made(EmailContent("Order", text="."), address=address)
    assert mail.recipients == [spelt]
    assert f"\r\nTo: {spelt}\r\n".encode() in mail.whole()
    assert not mail.is_international


def test_a_local_part_that_is_not_ascii_makes_the_mail_international() -> None:
    mail = made(EmailContent("Order", text="."), address="r\u00f6ssi@b\u00fccher.example")
    assert mail.is_international
    assert mail.recipients == ["r\u00f6ssi@xn--bcher-kva.example"]
    assert "\r\nTo: r\u00f6ssi@xn--bcher-kva.example\r\n".encode() in mail.whole()
    copied = MailExtras(blind_carbon_copies=["\u00e9@x.it"])
    assert made(EmailContent("Order", text="."), mail=copied).is_international


@pytest.mark.parametrize(
    "address",
    ["", "a.x.it", "a@", "a@x.it\r\nRCPT TO:<b@x.it>", "a@x.it,b@x.it", "<a@x.it>", "a@\u2488.it"],
)
def test_what_is_no_address_is_not_mailed(address: str) -> None:
    for one in (
        delivery("email", EmailContent("Order", text="."), address),
        replace(email(), sender=address),
        email(mail=MailExtras(carbon_copies=[address])),
        email(mail=MailExtras(blind_carbon_copies=[address])),
    ):
        if address == "<a@x.it>" and one.sender == address:
            continue  # a mailbox without a name
        with pytest.raises(NotMailable) as refused:
            mail_of(one, NOW)
        assert not address or address not in str(refused.value)


def test_only_a_mail_can_be_mailed() -> None:
    with pytest.raises(TypeError, match="only an email"):
        mail_of(sms(), NOW)


NAMES: Final = [
    ("Shop", "Shop"),
    ("Shop & Co. (Roma)", "Shop & Co. (Roma)"),
    ("Caff\u00e8 \u2615", "Caff\u00e8 \u2615"),
    ("=?utf-8?q?a=40b.it?=", "=?utf-8?q?a=40b.it?="),
    ("evil@x.it>, <b@x.it", "evil@x.it>, <b@x.it"),
    ("evil@x.it", "evil@x.it"),
    ("a\\", "a\\"),
    ("\u00e9, evil@x.it", "\u00e9 evil x.it"),
    ("\u00e9 <evil@x.it>", "\u00e9 evil x.it"),
    ("l" * 200, "l" * 200),
    ("\u540d" * 60, "\u540d" * 60),
]


@pytest.mark.parametrize(("name", "shown"), NAMES)
def test_a_name_is_a_name_and_never_an_address(name: str, shown: str) -> None:
    found = read(made(EmailContent("Order", text="."), sender=f'"{name}" <shop@example.com>'))
    ((said, address),) = found.sender
    assert address == "shop@example.com"
    # Between the words of a long name Python's reader of 3.11 leaves the spaces that fold it.
    assert (said.replace(" ", "") if len(name.encode()) > 45 else said) == shown


FILES: Final = [
    "a.txt",
    "a b.txt",
    'quo"te.pdf',
    "back\\slash.pdf",
    "a\r\nx-evil: 1.pdf",
    "a;b=c.pdf",
    "caff\u00e8.pdf",
    "\u540d" * 200 + ".pdf",
    "a" * 300,
    "",
    "\0",
    "=?utf-8?q?a?=",
    "%41.pdf",
    "../../etc/passwd",
    "\ud800",
    "a'b*c.txt",
]


def name_of(text: str) -> str:
    return re.sub("[\x00-\x1f\ud800]+", " ", text).strip()[:255] or "attachment"


@pytest.mark.parametrize("name", FILES)
def test_a_files_name_stays_in_its_place(name: str) -> None:
    extras = MailExtras(attachments=[Attachment(name, b"x", "text/plain")])
    (file,) = read(made(EmailContent("Order", text="."), mail=extras)).files
    assert file.name == name_of(name)


@pytest.mark.parametrize(
    ("kind", "sent"),
    [
        ("text/plain; charset=utf-8", "text/plain"),
        ("text/plain\r\nx-evil: 1", "application/octet-stream"),
        ("", "application/octet-stream"),
        ("message/rfc822", "application/octet-stream"),
        ("multipart/mixed; boundary=a", "application/octet-stream"),
        ("a/" + "b" * 2000, "application/octet-stream"),
        ("a/b" + '; c="' * 9 + "f" * 99 + '"', "application/octet-stream"),
    ],
)
def test_a_media_type_stays_in_its_place(kind: str, sent: str) -> None:
    extras = MailExtras(attachments=[Attachment("a", b"x", kind)])
    (file,) = read(made(EmailContent("Order", text="."), mail=extras)).files
    assert (file.media_type, file.content) == (sent, b"x")


def of_bodies(texts: Sequence[str]) -> Sequence[str]:
    return [re.sub("\r\n|\r", "\n", text).encode(errors="replace").decode() for text in texts]


bodies = st.text(max_size=400) | st.lists(
    st.sampled_from(
        ["--=_" + "d" * 32 + "_1", "\r\n.\r\n", "=", "=\r\n", " ", "a" * 90, "\r", "\u00e9"]
    )
).map("".join)


@pytest.mark.slow
@settings(max_examples=examples(100))
@given(text=bodies, html=bodies, subject=st.text(max_size=300), file=st.binary(max_size=300))
def test_whatever_is_said_is_read_back(text: str, html: str, subject: str, file: bytes) -> None:
    extras = MailExtras(attachments=[Attachment("f", file)])
    mail = made(EmailContent(subject, text=text, html=html), mail=extras)
    found = read(mail)
    assert found.headers == [*HEADERS, "content-type"]
    sent_text, sent_html = of_bodies([text, html])
    assert found.text == (sent_text if sent_text.strip() else text_of(sent_html))
    assert found.html == sent_html
    assert [one.content for one in found.files] == [file]
    clean = re.sub("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+", " ", subject).strip()
    assert "".join(found.subject.split()) == "".join(clean.split())


anything = st.text(max_size=60) | st.lists(
    st.sampled_from(
        [
            "\r\n",
            "\n",
            "\0",
            "Bcc: a@x.it",
            "<",
            ">",
            '"',
            "\\",
            ",",
            "@",
            "a@x.it",
            "=?",
            "?=",
            "\u00e9",
        ]
    )
).map("".join)


@settings(max_examples=examples(100))
@given(anything, anything, anything, anything, anything)
def test_no_value_makes_a_header_or_a_recipient(
    subject: str, sender: str, address: str, copy: str, file: str
) -> None:
    """What is an address by the rules of requests is one; all else is refused, or stays a text."""
    said = replace(
        delivery("email", EmailContent(subject, text="."), address),
        sender=sender,
        mail=MailExtras([copy], [], [Attachment(file, b"x", file)]),
    )
    try:
        mail = mail_of(said, NOW)
    except NotMailable:
        return
    assert is_email(address)
    assert is_email(copy)
    assert is_mailbox(sender)
    head = mail.whole().partition(b"\r\n\r\n")[0]
    names = [name.lower() for name in re.findall(rb"^([^ :]+):", head, re.M)]
    assert [one.decode() for one in names] == [
        "from",
        "to",
        "cc",
        *HEADERS[2:],
        "content-type",
    ]
    assert len(mail.recipients) == len({address, copy})


@pytest.mark.slow
def test_a_subject_of_a_million_characters_is_quick_and_whole() -> None:
    for subject in ("x" * 1_000_000, "\u00e9" * 500_000, "a b " * 250_000):
        one = delivery("email", EmailContent(subject, text="."))
        message = made(EmailContent(subject, text=".")).whole()
        head = message.partition(b"\r\n\r\n")[0]
        words = re.findall(rb"=\?utf-8\?b\?([A-Za-z0-9+/=]+)\?=", head)
        assert _decoded(words) == subject.strip()
        assert quickest(partial(mail_of, one, NOW), 0.5) < 0.5


def _decoded(words: Sequence[bytes]) -> str:
    return "".join(b64decode(word).decode() for word in words)


HOSTILE: Final = [
    '"evil@x.it>, <b@x.it" <shop@example.com>',
    '"\u00e9 <evil@x.it>" <shop@example.com>',
    '"\u00e9\u00e9, evil@x.it" <shop@example.com>',
    '"=?utf-8?b?PGV2aWxAeC5pdD4=?=" <shop@example.com>',
    '"a\\" <shop@example.com>',
    "Shop <shop@example.com>",
]


@pytest.mark.servers
@pytest.mark.skipif(not IS_THERE, reason=WHY_NOT)
def test_another_reader_finds_the_same() -> None:
    html = '<p>Perch\u00e9 <img src="cid:logo.png"> no?</p>'
    extras = MailExtras(["a@x.it"], ["b@x.it"], [PNG, PDF])
    rich = EmailContent("Ordine n\u00b0 7 \u2709", text="Perch\u00e9?", html=html)
    mails = [made(rich, sender=one, mail=extras).whole() for one in HOSTILE]
    mails += [
        made(
            EmailContent("Order", text="."),
            mail=MailExtras(attachments=[Attachment(name, b"x", "text/plain")]),
        ).whole()
        for name in FILES
    ]
    found = by_node(mails)
    for message, by_other in zip(mails, found, strict=True):
        ours = by_python(message)
        assert by_other.sender == ours.sender
        assert by_other.to == ours.to
        assert by_other.cc == ours.cc
        assert by_other.subject == ours.subject
        assert by_other.message_id == ours.message_id
        assert by_other.date == ours.date
        assert [one.content for one in by_other.files] == [one.content for one in ours.files]
        assert [one.cid for one in by_other.files] == [one.cid for one in ours.files]
        assert [one.name for one in by_other.files] == [one.name for one in ours.files]
