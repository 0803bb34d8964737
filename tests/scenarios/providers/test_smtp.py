"""Mails over SMTP, the whole way: what a template says is what a reader of mails shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from carillon.messages.model import Document
from tests.neighbours.smtp import SmtpScript, listening
from tests.providers.mail.readers import by_python
from tests.running import running

MAIL: Document = {
    "activeChannels": ["email"],
    "sender": {"email": "Shop <shop@example.com>"},
    "providers": {"smtp": {"retry": {"attempts": 1}}},
}
HTML = "<p>Dear <b>{{user.name}}</b></p><img src='cid:logo.png'>"


@pytest.mark.parametrize(
    ("bodies", "text"),
    [
        ({"emailHtmlMessage": HTML, "emailMessage": "Hi {{user.name}}"}, "Hi <Ada>"),
        ({"emailHtmlMessage": HTML}, "Dear <Ada>"),
    ],
)
async def test_a_template_becomes_a_mail_with_all_that_it_has(
    tmp_path: Path, bodies: Document, text: str
) -> None:
    files = tmp_path / "files"
    files.mkdir()
    (files / "logo.png").write_bytes(b"png")
    (files / "offer.pdf").write_bytes(b"%PDF")
    template: Document = {"_id": "t", "name": "t", "emailTitle": "Ciao {{user.name}}", **bodies}
    async with listening() as sink:
        environ = {"SMTP_URL": sink.url, "FILES_DIRECTORY": str(files)}
        async with running(tmp_path, MAIL, templates=[template], environ=environ) as service:
            answer = await service.send(
                templateId="t",
                to=[{"emailAddress": "ada@example.com", "name": "<Ada>"}],
                emailAttachments=["logo.png", "offer.pdf"],
                emailCarbonCopies=["a@example.com"],
                emailBlindCarbonCopies=["b@example.com"],
            )
        assert answer.json() == {"failures": []}
        (mail,) = sink.mails
    assert mail.recipients == ["ada@example.com", "a@example.com", "b@example.com"]
    found = by_python(mail.message)
    assert found.sender == [("Shop", "shop@example.com")]
    assert (found.subject, found.text) == ("Ciao <Ada>", text)
    assert found.html == "<p>Dear <b>&lt;Ada&gt;</b></p><img src='cid:logo.png'>"
    assert [(one.name, one.disposition, one.content) for one in found.files] == [
        ("logo.png", "inline", b"png"),
        ("offer.pdf", "attachment", b"%PDF"),
    ]


async def test_what_the_server_refuses_is_a_failure_with_its_words(tmp_path: Path) -> None:
    answers = {"bad@example.com": "550 5.1.1 No such user", "later@example.com": "451 4.3.0 Later"}
    async with listening(SmtpScript(answers=answers)) as sink:
        async with running(tmp_path, MAIL, environ={"SMTP_URL": sink.url}) as service:
            names = ("bad", "later", "good")
            to = [{"emailAddress": f"{name}@example.com"} for name in names]
            answer = await service.send(to=to)
            outcomes = service.outcomes()
    assert {one["error"] for one in answer.json()["failures"]} == {
        "smtp answered 550 5.1.1 to RCPT: No such user",
        "smtp answered 451 4.3.0 to RCPT: Later (1 attempts)",
    }
    assert sorted(outcomes.values()) == [
        ("failed", "exhausted"),
        ("failed", "rejected"),
        ("sent", "accepted"),
    ]
    assert [one.recipients for one in sink.mails] == [["good@example.com"]]


async def test_an_answer_that_is_lost_leaves_the_delivery_in_doubt(tmp_path: Path) -> None:
    document: Document = {**MAIL, "providers": {"smtp": {"timeout": "1s"}}}
    async with listening(SmtpScript(answers={".": "hang"})) as sink:
        async with running(tmp_path, document, environ={"SMTP_URL": sink.url}) as service:
            await service.send(to=[{"emailAddress": "ada@example.com"}])
            assert [*service.outcomes().values()] == [("in-doubt", "unknown-outcome")]
        assert len(sink.mails) == 1
