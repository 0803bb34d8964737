"""Files from the file service or a folder on their way into mails (contracts 1.5)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from carillon.messages.model import Document, JsonValue
from tests.neighbours.http import Answer
from tests.neighbours.mail_service import SentFile
from tests.scenarios.neighbourhood import (
    ADA_ID,
    accepted,
    neighbourhood,
    numbered,
    people,
    refused,
)

TEMPLATE_ID = numbered(77)
LARGEST = 15 * 1024 * 1024
NO_FILES = {"FILE_SERVICE_URL": ""}


def template(*attachments: JsonValue) -> Document:
    return {
        "_id": TEMPLATE_ID,
        "emailTitle": "T",
        "emailHtmlMessage": "<p>H</p>",
        "smsMessage": "S",
        "emailAttachments": list(attachments),
    }


async def test_files_of_request_and_template_are_merged_and_fetched_once(tmp_path: Path) -> None:
    stored = template({"file": "b"}, {"file": "c", "name": "Tariffs.csv"}, {"file": "c"})
    async with neighbourhood(tmp_path, users=people(3), templates=[stored]) as at:
        at.files.add("a", b"A", media_type="application/pdf", original_name="offer.pdf")
        at.files.add("b", b"B", media_type="text/plain; charset=utf-8")
        at.files.add("c", b"C", media_type=None, original_name="ignored.csv")
        answer = await at.send(
            "email",
            "sms",
            clusters=["all"],
            templateId=TEMPLATE_ID,
            emailAttachments=["a", "b", "a"],
        )
        accepted(answer)
    assert [call.target for call in at.calls("files")] == [
        "/download/a",
        "/download/b",
        "/download/c",
    ]
    assert sorted(mail.recipients[0] for mail in at.mail.mails) == [
        f"u{number}@example.com" for number in range(3)
    ]
    for mail in at.mail.mails:
        assert (mail.html_message, mail.message) == ("<p>H</p>", None)
        assert mail.files == [
            SentFile("file1", "offer.pdf", "application/pdf", b"A"),
            SentFile("file2", "b", "text/plain", b"B"),
            SentFile("file3", "Tariffs.csv", "text/csv", b"C"),
        ]
    assert len(at.sms.messages) == 3


async def test_files_are_not_fetched_when_no_email_is_asked_for(tmp_path: Path) -> None:
    stored = template({"file": "missing"}, {"file": "huge", "size": LARGEST + 1})
    async with neighbourhood(tmp_path, templates=[stored]) as at:
        body: Document = {"templateId": TEMPLATE_ID, "emailAttachments": ["a"]}
        accepted(await at.send("sms", recipients=[ADA_ID], **body))
        assert at.calls("files") == []
    assert len(at.sms.messages) == 1


NAMES = ["missing.pdf", "../secret", "a/b c?.pdf", "perché.pdf"]


async def test_a_missing_file_is_named_and_nothing_is_sent(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        at.files.add("there.pdf", b"%PDF-")
        for file in NAMES:
            at.crud.templates.add({**template({"file": file}), "_id": f"with {file}"})
            bodies: list[Document] = [
                {"emailAttachments": ["there.pdf", file]},
                {"emailAttachments": ["there.pdf"], "templateId": f"with {file}"},
            ]
            for body in bodies:
                answer = await at.send("email", "sms", recipients=[ADA_ID], **body)
                refused(answer, 400, f"ttachment {file!r}", "not found")
        assert at.silent
        assert len(at.calls("files")) == 4 * len(NAMES)


async def test_the_name_of_a_file_cannot_break_out_of_its_part(tmp_path: Path) -> None:
    evil = 'x"; name="bcc"\r\nX-Evil: 1\r\n\r\n.pdf'
    stored = template({"file": "bill", "name": evil})
    async with neighbourhood(tmp_path, templates=[stored]) as at:
        at.files.add("bill", b"%PDF-", media_type="application/pdf")
        accepted(await at.send(recipients=[ADA_ID], templateId=TEMPLATE_ID))
    (mail,) = at.mail.mails
    (file,) = mail.files
    assert (file.part, file.media_type, file.content) == ("file1", "application/pdf", b"%PDF-")
    assert mail.bcc == []
    assert b"\r\nX-Evil" not in at.calls("mail")[0].body


LARGE: dict[str, Answer] = {
    "by Content-Length": Answer(200, b"x", {"content-length": str(LARGEST + 1)}, framing="close"),
    "while it is read": Answer(200, b"x" * 2**20, fault="endless-body", framing="close"),
}


async def test_a_file_that_is_too_large_is_named_and_nothing_is_sent(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        for answer in LARGE.values():
            at.files.answer_next(answer)
            told = await at.send("email", "sms", recipients=[ADA_ID], emailAttachments=["film.mp4"])
            refused(told, 400, "film.mp4", "15 MB")
        assert at.silent
        assert len(at.calls("files")) == len(LARGE)


async def test_a_chunked_file_is_counted(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        at.files.framing = "chunked"
        at.files.add("film.mp4", b"x" * (LARGEST + 1))
        at.files.add("notes.txt", b"short", media_type="text/plain")
        answer = await at.send(recipients=[ADA_ID], emailAttachments=["notes.txt", "film.mp4"])
        refused(answer, 400, "film.mp4", "15 MB")
        assert at.silent
        accepted(await at.send(recipients=[ADA_ID], emailAttachments=["notes.txt"]))
    assert at.mail.mails[0].files == [SentFile("file1", "notes.txt", "text/plain", b"short")]


async def test_a_declared_size_that_is_too_large_is_not_even_fetched(tmp_path: Path) -> None:
    stored = template({"file": "film.mp4", "name": "Film", "size": LARGEST + 1})
    async with neighbourhood(tmp_path, templates=[stored]) as at:
        answer = await at.send("email", "sms", recipients=[ADA_ID], templateId=TEMPLATE_ID)
        refused(answer, 400, "film.mp4", "15 MB")
        assert at.silent
        assert at.calls("files") == []


async def test_15_megabytes_are_not_too_large(tmp_path: Path) -> None:
    content = bytes(LARGEST)
    async with neighbourhood(tmp_path) as at:
        at.files.add("film.mp4", content)
        accepted(await at.send(recipients=[ADA_ID], emailAttachments=["film.mp4"]))
    assert at.mail.mails[0].files[0].content == content


PASSING: dict[str, Answer] = {
    "503": Answer(503),
    "429": Answer(429),
    "disconnect": Answer(fault="disconnect"),
    "cut": Answer(200, b"%PDF-", fault="cut-body"),
    "cut chunks": Answer(200, b"%PDF-", fault="cut-body", framing="chunked"),
}


async def test_a_file_service_that_fails_in_passing_is_read_again(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        at.files.add("bill.pdf", b"%PDF-1")
        for answer in PASSING.values():
            at.files.answer_next(answer)
            accepted(await at.send(recipients=[ADA_ID], emailAttachments=["bill.pdf"]))
    assert [mail.files[0].content for mail in at.mail.mails] == [b"%PDF-1"] * len(PASSING)
    assert len(at.calls("files")) == 2 * len(PASSING)


async def test_a_file_service_that_goes_on_failing_is_503(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        at.files.add("bill.pdf", b"%PDF-1")
        for answer in (PASSING["503"], PASSING["cut"]):
            at.files.answer_next(answer, answer)
            told = await at.send("email", "sms", recipients=[ADA_ID], emailAttachments=["bill.pdf"])
            refused(told, 503, "file service")
        assert at.silent
        at.files.stop()
        told = await at.send("email", "sms", recipients=[ADA_ID], emailAttachments=["bill.pdf"])
        refused(told, 503, "file service")
        accepted(await at.send(recipients=[ADA_ID]))
        assert (len(at.mail.mails), len(at.sms.messages)) == (1, 0)


async def test_a_file_service_that_hangs_is_503(tmp_path: Path) -> None:
    patience: Document = {"timeout": "50ms", "attempts": 2}
    hangs: Sequence[Answer] = [
        Answer(fault="hang"),
        Answer(200, b"%PDF-", fault="stalled-body"),
    ]
    async with neighbourhood(tmp_path, directory=patience) as at:
        at.files.answer_next(*hangs)
        told = await at.send(recipients=[ADA_ID], emailAttachments=["bill.pdf"])
        refused(told, 503, "file service")
        assert at.silent


async def test_a_file_that_may_not_be_had_is_named(tmp_path: Path) -> None:
    async with neighbourhood(tmp_path) as at:
        at.files.answer_next(Answer(403))
        told = await at.send(recipients=[ADA_ID], emailAttachments=["bill.pdf"])
        refused(told, 400, "bill.pdf", "403")
        assert at.silent


async def test_without_a_file_service_an_attachment_is_refused(tmp_path: Path) -> None:
    stored = template({"file": "bill.pdf"})
    async with neighbourhood(tmp_path, templates=[stored], environ=NO_FILES) as at:
        told = await at.send("email", "sms", recipients=[ADA_ID], templateId=TEMPLATE_ID)
        refused(told, 400, "bill.pdf", "FILE_SERVICE_NAME")
        assert at.silent
        accepted(await at.send("sms", recipients=[ADA_ID], templateId=TEMPLATE_ID))


async def test_files_may_lie_in_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "files"
    (folder / "2024").mkdir(parents=True)
    (folder / "2024" / "bill.pdf").write_bytes(b"%PDF-")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    environ = {**NO_FILES, "FILES_DIRECTORY": str(folder)}
    async with neighbourhood(tmp_path, environ=environ) as at:
        accepted(await at.send(recipients=[ADA_ID], emailAttachments=["2024/bill.pdf"]))
        assert at.mail.mails[0].files == [
            SentFile("file1", "bill.pdf", "application/pdf", b"%PDF-")
        ]
        for name in ("none.pdf", "../secret.txt", str(tmp_path / "secret.txt"), "2024", ""):
            told = await at.send("email", "sms", recipients=[ADA_ID], emailAttachments=[name])
            refused(told, 400, f"ttachment {name!r}", "not found")
    assert (len(at.mail.mails), len(at.sms.messages)) == (1, 0)


async def test_a_file_that_is_too_large_in_a_folder_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "film.mp4").open("wb") as film:
        film.truncate(LARGEST + 1)
    environ = {**NO_FILES, "FILES_DIRECTORY": str(tmp_path)}
    async with neighbourhood(tmp_path, environ=environ) as at:
        told = await at.send("email", "sms", recipients=[ADA_ID], emailAttachments=["film.mp4"])
        refused(told, 400, "film.mp4", "15 MB")
        assert at.silent
