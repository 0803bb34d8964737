"""What the mail service is sent: every field of a mail, and nothing of a user's that leaves it."""

from __future__ import annotations

from pathlib import Path

import pytest

from carillon.messages.model import Document, JsonValue
from tests.neighbours.mail_service import SentFile
from tests.scenarios.neighbourhood import (
    ADA,
    ADA_ID,
    ANGELO,
    accepted,
    neighbourhood,
    numbered,
    refused,
)


async def test_a_mail_is_one_json_call(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        accepted(await at.send(recipients=[ADA_ID], messageTitle="Perché", messageContent="Hi ✉"))
    (call,) = at.calls("mail")
    assert (call.method, call.target) == ("POST", "/send")
    assert call.headers["content-type"] == "application/json"
    assert call.json() == {
        "recipient": "ada@example.com",
        "subject": "Perché",
        "sender": "shop@example.com",
        "message": "Hi ✉",
    }
    assert at.outcomes() == {(ADA_ID, "email"): ("sent", "accepted")}


BODIES: list[tuple[Document, Document]] = [
    ({"emailMessage": "T"}, {"message": "T"}),
    ({"emailHtmlMessage": "<p>H</p>"}, {"htmlMessage": "<p>H</p>"}),
    ({"emailMessage": "T", "emailHtmlMessage": "<p>H</p>"}, {"htmlMessage": "<p>H</p>"}),
    ({"emailMessage": "{{#if", "emailHtmlMessage": "<p>H</p>"}, {"htmlMessage": "<p>H</p>"}),
    ({"emailMessage": "T", "emailHtmlMessage": ""}, {"message": "T"}),
    ({"emailMessage": "T", "emailHtmlMessage": None}, {"message": "T"}),
]


async def test_a_stored_mail_has_one_body(tmp_path: Path) -> None:
    same: Document = {
        "recipient": "ada@example.com",
        "subject": "S",
        "sender": "shop@example.com",
    }
    async with neighbourhood(tmp_path) as at:
        for number, (fields, body) in enumerate(BODIES):
            at.crud.templates.add({"_id": f"t{number}", "emailTitle": "S", **fields})
            accepted(await at.send(recipients=[ADA_ID], templateId=f"t{number}"))
            assert at.bodies("mail")[-1] == {**same, **body}


async def test_one_call_a_user_and_each_carries_every_copy(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=[ADA, ANGELO]) as at:
        answer = await at.send(
            clusters=["staff"],
            emailCarbonCopies=["a@x.test", "Bob <b@x.test>"],
            emailBlindCarbonCopies=["c@x.test"],
        )
        accepted(answer)
    for body in at.bodies("mail"):
        assert isinstance(body, dict)
        assert set(body) == {"recipient", "subject", "sender", "message", "cc", "bcc"}
        assert (body["cc"], body["bcc"]) == (["a@x.test", "Bob <b@x.test>"], ["c@x.test"])
    assert sorted(mail.recipients[0] for mail in at.mail.mails) == [
        "ada@example.com",
        "angelo@example.com",
    ]


async def test_copies_that_are_no_addresses_are_left_out(tmp_path: Path) -> None:
    bad = ["", "nobody", "a@@x.test", "e@x.test\r\nBcc: f@x.test", "a@x.test, b@x.test"]
    async with neighbourhood(tmp_path) as at:
        body: dict[str, object] = {"emailCarbonCopies": [*bad, "g@x.test"]}
        accepted(await at.send(recipients=[ADA_ID], emailBlindCarbonCopies=bad, **body))
    sent = at.body("mail")
    assert sent["cc"] == ["g@x.test"]
    assert "bcc" not in sent


async def test_a_copy_goes_to_each_mailbox_once(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        answer = await at.send(
            recipients=[ADA_ID],
            emailCarbonCopies=["a@x.test", "b@x.test", "a@x.test", "a@X.Test", "A@x.test"],
            emailBlindCarbonCopies=["c@x.test", "b@x.test", "c@x.test"],
        )
        accepted(answer)
    sent = at.body("mail")
    assert (sent["cc"], sent["bcc"]) == (["a@x.test", "b@x.test", "A@x.test"], ["c@x.test"])


async def test_a_request_may_name_its_sender(tmp_path: Path) -> None:
    senders = ["other@x.test", "The Shop <other@x.test>"]
    async with neighbourhood(tmp_path) as at:
        for sender in senders:
            accepted(await at.send("email", "sms", recipients=[ADA_ID], emailSender=sender))
        accepted(await at.send(recipients=[ADA_ID]))
    assert [mail.sender for mail in at.mail.mails] == [*senders, "shop@example.com"]
    assert [sms.sender for sms in at.sms.messages] == ["Shop", "Shop"]


async def test_a_sender_that_is_none_is_refused(tmp_path: Path) -> None:
    injected = "Shop <a@x.test>\r\nBcc: b@x.test"
    async with neighbourhood(tmp_path) as at:
        for sender in (injected, "a@x.test\n", "<>", "a@x.test, b@x.test", ""):
            answer = await at.send(recipients=[ADA_ID], emailSender=sender)
            refused(answer, 400, "emailSender")
        assert at.silent


BREAKS = {
    "crlf": ("Ada\r\nBcc: evil@x.test", "Hi Ada Bcc: evil@x.test!"),
    "lf": ("Ada\nX-Evil: 1", "Hi Ada X-Evil: 1!"),
    "cr": ("Ada\rX-Evil: 1", "Hi Ada X-Evil: 1!"),
    "many": ("Ada\r\n\r\n<html>", "Hi Ada <html>!"),
    "unicode": ("Ada\u2028X\u2029Y\x85Z", "Hi Ada X Y Z!"),
    "at the end": ("Ada\r\n", "Hi Ada !"),
    "control": ("Ada\x00\x07\tB\x1b[1m\x7f\x9fC", "Hi Ada B [1m C!"),
}


@pytest.mark.parametrize("attachments", [[], ["bill.pdf"]])
async def test_a_user_cannot_break_out_of_the_subject(
    attachments: list[str], tmp_path: Path
) -> None:
    users: list[Document] = [
        {"_id": numbered(number), "name": hostile, "emailAddress": f"u{number}@x.test"}
        for number, (hostile, _) in enumerate(BREAKS.values())
    ]
    async with neighbourhood(tmp_path, users=users) as at:
        at.files.add("bill.pdf", b"%PDF-")
        answer = await at.send(
            recipients=[str(user["_id"]) for user in users],
            messageTitle="Hi {{user.name}}!",
            messageContent="{{user.name}}",
            emailAttachments=attachments,
        )
        accepted(answer)
    mails = sorted(at.mail.mails, key=lambda mail: mail.recipients)
    for number, (mail, (hostile, subject)) in enumerate(zip(mails, BREAKS.values(), strict=True)):
        assert (mail.subject, mail.message) == (subject, hostile)
        assert (mail.recipients, mail.cc, mail.bcc) == ([f"u{number}@x.test"], [], [])


async def test_line_breaks_that_a_request_writes_into_a_subject_become_one_space(
    tmp_path: Path,
) -> None:
    async with neighbourhood(tmp_path) as at:
        accepted(await at.send(recipients=[ADA_ID], messageTitle="One\r\n\r\ntwo\nthree"))
    assert at.body("mail")["subject"] == "One two three"


async def test_attachments_make_the_mail_multipart(tmp_path: Path) -> None:
    copies: dict[str, object] = {
        "emailCarbonCopies": ["a@x.test", "b@x.test"],
        "emailBlindCarbonCopies": ["c@x.test"],
        "emailSender": "The Shop <other@x.test>",
    }
    async with neighbourhood(tmp_path) as at:
        at.files.add("f1", b"%PDF-\r\n--x\0", media_type="application/pdf", original_name="è.pdf")
        at.files.add("notes.txt", b"", media_type="text/plain")
        answer = await at.send(recipients=[ADA_ID], emailAttachments=["f1", "notes.txt"], **copies)
        accepted(answer)
    (call,) = at.calls("mail")
    assert call.target == "/send"
    assert call.headers["content-type"].startswith("multipart/form-data; boundary=")
    assert b'name="from"' in call.body
    assert b'name="sender"' not in call.body
    (mail,) = at.mail.mails
    assert (mail.recipients, mail.sender) == (["ada@example.com"], "The Shop <other@x.test>")
    assert (mail.subject, mail.message, mail.html_message) == ("Title", "Content", None)
    assert (mail.cc, mail.bcc) == (["a@x.test", "b@x.test"], ["c@x.test"])
    assert mail.files == [
        SentFile("file1", "è.pdf", "application/pdf", b"%PDF-\r\n--x\0"),
        SentFile("file2", "notes.txt", "text/plain", b""),
    ]


WRITTEN: list[tuple[str, str]] = [
    (r"a\nb", "a<br/>b"),
    (r"a\rb", "a<br/>b"),
    (r"a\r\nb", "a<br/>b"),
    (r"a\n\rb", "a<br/>b"),
    (r"a\n\nb", "a<br/><br/>b"),
    ("a\nb", "a\nb"),
    ("{{user.note}}", "x<br/>y"),
]


async def test_written_line_breaks_become_tags_in_html_only(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path, users=[{**ADA, "note": r"x\ny"}]) as at:
        for number, (source, html) in enumerate(WRITTEN):
            template: Document = {"_id": f"t{number}", "emailTitle": "S", "smsMessage": source}
            at.crud.templates.add({**template, "emailHtmlMessage": source})
            answer = await at.send("email", "sms", recipients=[ADA_ID], templateId=f"t{number}")
            accepted(answer)
            assert at.mail.mails[-1].html_message == html
            assert at.sms.messages[-1].body == source.replace("{{user.note}}", r"x\ny")


async def test_plain_mails_keep_what_looks_like_a_line_break(tmp_path: Path) -> None:
    content: JsonValue = r"C:\new and 1 < 2"
    async with neighbourhood(tmp_path) as at:
        accepted(await at.send(recipients=[ADA_ID], messageContent=content))
    assert at.body("mail")["message"] == content
