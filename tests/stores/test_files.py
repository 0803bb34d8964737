"""Attachments from the file service: contracts 1.5."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import trio

from carillon.messages.errors import AttachmentRefused, FilesUnavailable
from carillon.messages.model import Attachment, AttachmentReference
from carillon.stores.files import LARGEST, FilesDirectory, FileService, NoFiles
from tests.neighbours.file_service import StandInFiles, file_service
from tests.neighbours.http import Answer, Framing, in_turn, serve


@asynccontextmanager
async def reader(service: StandInFiles, timeout: float = 5) -> AsyncIterator[FileService]:
    async with httpx.AsyncClient() as client:
        yield FileService(client, service.url, timeout=timeout)


@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_file_is_fetched_whole(framing: Framing) -> None:
    content = bytes(range(256)) * 999
    async with file_service() as service, reader(service) as files:
        service.framing = framing
        service.add("a1.pdf", content, media_type="application/pdf; charset=binary")
        found = await files.fetch(AttachmentReference("a1.pdf"))
        assert found == Attachment("a1.pdf", content, "application/pdf")


@pytest.mark.slow
@pytest.mark.parametrize("file", ["a b.txt", "é/ü.txt", "?x=1#y", "%2e%2e", "a+b&c", "...", "💥"])
async def test_a_name_is_one_part_of_the_path(file: str) -> None:
    async with file_service({file: b"x"}) as service, reader(service) as files:
        assert (await files.fetch(AttachmentReference(file))).content == b"x"


@pytest.mark.parametrize("file", ["", ".", "..", "\ud800", "x" * 5000])
async def test_what_cannot_be_a_name_is_refused_unasked(file: str) -> None:
    async with file_service() as service, reader(service) as files:
        with pytest.raises(AttachmentRefused) as caught:
            await files.fetch(AttachmentReference(file))
        assert len(str(caught.value)) < 400
        assert service.requests == []


async def test_the_name_is_the_references_then_the_uploaders_then_the_files() -> None:
    async with file_service() as service, reader(service) as files:
        service.add("a1", b"x", media_type=None, original_name="Résumé.pdf")
        service.add("a2.csv", b"x", media_type=None)
        named = await files.fetch(AttachmentReference("a1", name="cv.png"))
        assert (named.name, named.media_type) == ("cv.png", "image/png")
        original = await files.fetch(AttachmentReference("a1"))
        assert (original.name, original.media_type) == ("Résumé.pdf", "application/pdf")
        plain = await files.fetch(AttachmentReference("a2.csv"))
        assert (plain.name, plain.media_type) == ("a2.csv", "text/csv")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\ada\\cv.pdf", "cv.pdf"),
        ("a\r\nb\x00.pdf", "ab.pdf"),
        (" cv.pdf ", "cv.pdf"),
        ("folder/", "bill.pdf"),
        ("\x00", "bill.pdf"),
    ],
)
async def test_a_name_that_a_template_gives_is_stripped_as_an_uploaders(
    given: str, name: str, tmp_path: Path
) -> None:
    (tmp_path / "bill.pdf").write_bytes(b"x")
    found = await FilesDirectory(tmp_path).fetch(AttachmentReference("bill.pdf", name=given))
    assert found.name == name
    async with file_service() as service, reader(service) as files:
        service.add("bill.pdf", b"x", media_type=None)
        found = await files.fetch(AttachmentReference("bill.pdf", name=given))
    assert found.name == name


async def test_a_file_that_is_not_there_is_refused_by_name() -> None:
    async with file_service() as service, reader(service) as files:
        with pytest.raises(AttachmentRefused, match=r"'gone\.pdf' not found"):
            await files.fetch(AttachmentReference("gone.pdf"))


@pytest.mark.slow
async def test_the_largest_file_passes() -> None:
    async with file_service({"big": bytes(LARGEST)}) as service, reader(service) as files:
        service.framing = "chunked"
        found = await files.fetch(AttachmentReference("big", size=LARGEST))
        assert len(found.content) == LARGEST


@pytest.mark.slow
async def test_a_file_that_is_packed_has_its_size_unpacked() -> None:
    bomb = gzip.compress(bytes(LARGEST + 1), compresslevel=1)
    fine = gzip.compress(bytes(LARGEST), compresslevel=1)
    answers = in_turn(
        *(Answer(200, body, {"content-encoding": "gzip"}) for body in (bomb, fine)),
        Answer(200, b"?", {"content-encoding": "br"}),
    )
    async with serve(answers) as server, httpx.AsyncClient() as client:
        files = FileService(client, server.url, timeout=30)
        with pytest.raises(AttachmentRefused, match="larger than 15 MB"):
            await files.fetch(AttachmentReference("a"))
        assert len((await files.fetch(AttachmentReference("a"))).content) == LARGEST
        with pytest.raises(FilesUnavailable, match="in a coding that cannot be read"):
            await files.fetch(AttachmentReference("a"))


async def test_a_check_up_reads_no_body() -> None:
    endless = Answer(200, b"x" * 65_536, framing="chunked", fault="endless-body")
    async with serve(endless) as server, httpx.AsyncClient() as client:
        with trio.fail_after(10):
            await FileService(client, server.url, timeout=30).check()


async def test_a_size_that_is_told_before_is_enough_to_refuse() -> None:
    async with file_service({"big": b"x"}) as service, reader(service) as files:
        with pytest.raises(AttachmentRefused, match=r"'big' is larger than 15 MB"):
            await files.fetch(AttachmentReference("big", size=LARGEST + 1))
        assert service.requests == []


@pytest.mark.slow
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_one_byte_too_many_is_refused_whatever_was_told(framing: Framing) -> None:
    async with file_service({"big": bytes(LARGEST + 1)}) as service, reader(service) as files:
        service.framing = framing
        with pytest.raises(AttachmentRefused, match=r"'big' is larger than 15 MB"):
            await files.fetch(AttachmentReference("big", size=3))


@pytest.mark.slow
async def test_a_file_without_end_is_stopped_at_the_limit() -> None:
    async with file_service() as service, reader(service) as files:
        service.answer_next(Answer(200, bytes(1 << 20), fault="endless-body", framing="close"))
        with pytest.raises(AttachmentRefused, match="larger than 15 MB"):
            await files.fetch(AttachmentReference("endless"))


@pytest.mark.slow
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_a_body_that_is_cut_is_never_a_short_file(framing: Framing) -> None:
    async with file_service({"a": b"half"}) as service, reader(service) as files:
        service.framing = framing
        service.cut_next()
        with pytest.raises(FilesUnavailable, match=r"\(what came is no whole HTTP answer\)"):
            await files.fetch(AttachmentReference("a"))
        assert (await files.fetch(AttachmentReference("a"))).content == b"half"


async def test_a_body_whose_end_is_not_told_counts_only_with_its_size() -> None:
    async with file_service({"a": b"whole"}) as service, reader(service) as files:
        service.framing = "close"
        for size in (None, 6):
            with pytest.raises(FilesUnavailable, match="ends"):
                await files.fetch(AttachmentReference("a", size=size))
        assert (await files.fetch(AttachmentReference("a", size=5))).content == b"whole"


@pytest.mark.slow
@pytest.mark.parametrize("status", [500, 502, 503, 504, 408, 425, 429, 204])
async def test_what_may_pass_is_unavailable(status: int) -> None:
    async with file_service({"a": b"x"}) as service, reader(service) as files:
        service.fail_next(1, status) if status != 204 else service.answer_next(Answer(204))
        with pytest.raises(FilesUnavailable, match=f"{status} for attachment 'a'"):
            await files.fetch(AttachmentReference("a"))
        assert len(service.requests) == 1


@pytest.mark.slow
@pytest.mark.parametrize("status", [400, 401, 403, 410, 302])
async def test_what_the_service_will_not_give_is_refused(status: int) -> None:
    async with file_service({"a": b"x"}) as service, reader(service) as files:
        service.answer_next(Answer(status, headers={"location": f"{service.url}/download/a"}))
        with pytest.raises(AttachmentRefused, match=f"'a' refused: .* answered {status}"):
            await files.fetch(AttachmentReference("a"))
        assert len(service.requests) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer", [Answer(fault="disconnect"), Answer(fault="reset"), Answer(fault="garbage")]
)
async def test_a_connection_that_breaks_is_unavailable(answer: Answer) -> None:
    async with file_service() as service, reader(service) as files:
        service.answer_next(answer)
        with pytest.raises(FilesUnavailable):
            await files.fetch(AttachmentReference("a"))


async def test_a_refused_connection_is_unavailable() -> None:
    async with file_service() as service, reader(service) as files:
        service.stop()
        await trio.sleep(0.01)
        with pytest.raises(FilesUnavailable, match=r"\(connection refused\)"):
            await files.fetch(AttachmentReference("a"))
        with pytest.raises(FilesUnavailable, match=r"\(connection refused\)"):
            await files.check()


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer", [Answer(fault="hang"), Answer(200, b"half", fault="stalled-body")]
)
async def test_the_time_limit_holds_for_the_whole_read(answer: Answer) -> None:
    async with file_service() as service, reader(service, timeout=0.05) as files:
        service.answer_next(answer)
        with pytest.raises(FilesUnavailable, match=r"within 0\.05 seconds"):
            await files.fetch(AttachmentReference("a"))


async def test_any_answer_but_a_server_error_passes_the_check() -> None:
    async with file_service() as service, reader(service) as files:
        await files.check()
        service.fail_next(1, 404)
        await files.check()
        service.fail_next(1, 503)
        with pytest.raises(FilesUnavailable, match="503"):
            await files.check()


async def test_without_a_file_service_the_text_names_the_settings() -> None:
    await NoFiles().check()
    with pytest.raises(AttachmentRefused, match=r"'a\.pdf'.* FILE_SERVICE_NAME or FILES_DIRECTORY"):
        await NoFiles().fetch(AttachmentReference("a.pdf"))


async def test_a_text_names_a_file_on_one_line() -> None:
    with pytest.raises(AttachmentRefused) as caught:
        await NoFiles().fetch(AttachmentReference("a\r\nb\x00" + "c" * 1000))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 400
