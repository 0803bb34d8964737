"""Attachments from a local folder, and what must never be read from one."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from carillon.messages.errors import AttachmentRefused, FilesUnavailable
from carillon.messages.model import Attachment, AttachmentReference
from carillon.stores.files import LARGEST, FilesDirectory


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret.txt").write_text("secret")
    inside = tmp_path / "files"
    (inside / "sub").mkdir(parents=True)
    (inside / "a.txt").write_text("hello")
    (inside / "sub" / "b.pdf").write_bytes(b"%PDF-")
    return inside


async def refused(folder: Path, file: str) -> None:
    with pytest.raises(AttachmentRefused, match="not found: FILES_DIRECTORY has no such") as caught:
        await FilesDirectory(folder).fetch(AttachmentReference(file))
    assert str(folder) not in str(caught.value).replace(file, "")


async def test_a_file_is_read_with_its_name_and_the_guessed_type(folder: Path) -> None:
    files = FilesDirectory(folder)
    await files.check()
    found = await files.fetch(AttachmentReference("a.txt"))
    assert found == Attachment("a.txt", b"hello", "text/plain")
    nested = await files.fetch(AttachmentReference("sub/b.pdf"))
    assert nested == Attachment("b.pdf", b"%PDF-", "application/pdf")
    named = await files.fetch(AttachmentReference("sub/b.pdf", name="Report.pdf"))
    assert named.name == "Report.pdf"


@pytest.mark.parametrize(
    "file",
    [
        *("../secret.txt", "sub/../../secret.txt", "..", ".", "", "sub", "none.txt", "~/.profile"),
        *("a.txt/x", "a.txt\x00.pdf", "\x00", "\ud800", "x" * 300, "x/" * 3000),
    ],
)
async def test_what_is_no_file_inside_is_refused(folder: Path, file: str) -> None:
    await refused(folder, file)


@pytest.mark.parametrize(
    "file", [".env", ".git/config", "sub/.env", ".git/../.env", ".git/../a.txt", "..data", "..."]
)
async def test_hidden_files_and_folders_are_refused(folder: Path, file: str) -> None:
    (folder / ".git").mkdir()
    for hidden in (".env", ".git/config", "sub/.env", "..data", "..."):
        (folder / hidden).write_text("secret")
    await refused(folder, file)


async def test_a_volume_of_links_into_a_hidden_folder_is_read(folder: Path) -> None:
    """So Kubernetes mounts a ConfigMap or a Secret."""
    (folder / "..2026_11_28").mkdir()
    (folder / "..2026_11_28" / "terms.pdf").write_bytes(b"%PDF-")
    (folder / "..data").symlink_to("..2026_11_28")
    (folder / "terms.pdf").symlink_to("..data/terms.pdf")
    found = await FilesDirectory(folder).fetch(AttachmentReference("terms.pdf"))
    assert found.content == b"%PDF-"
    await refused(folder, "..data/terms.pdf")


async def test_absolute_paths_are_refused(folder: Path) -> None:
    await refused(folder, str(folder.parent / "secret.txt"))
    await refused(folder, "/etc/passwd")


async def test_links_may_stay_inside_but_not_lead_out(folder: Path) -> None:
    (folder / "in.txt").symlink_to(folder / "a.txt")
    (folder / "out.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "up").symlink_to(folder.parent)
    (folder / "circle").symlink_to(folder / "circle")
    found = await FilesDirectory(folder).fetch(AttachmentReference("in.txt"))
    assert found.content == b"hello"
    for file in ("out.txt", "up/secret.txt", "circle"):
        await refused(folder, file)


async def test_a_folder_beside_with_a_longer_name_is_outside(folder: Path) -> None:
    beside = folder.parent / "files-private"
    beside.mkdir()
    (beside / "x").write_text("secret")
    await refused(folder, "../files-private/x")


async def test_a_folder_that_is_a_link_itself_is_fine(folder: Path) -> None:
    link = folder.parent / "link"
    link.symlink_to(folder)
    found = await FilesDirectory(link).fetch(AttachmentReference("a.txt"))
    assert found.content == b"hello"


async def test_pipes_sockets_and_devices_are_refused_and_hang_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(folder / "pipe")
    await refused(folder, "pipe")
    monkeypatch.chdir(folder)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        await refused(folder, "socket")
    await refused(Path("/dev"), "zero")


async def test_the_limit_is_that_of_the_file_service(folder: Path) -> None:
    files = FilesDirectory(folder)
    with (folder / "big").open("wb") as big:
        big.truncate(LARGEST)
    assert len((await files.fetch(AttachmentReference("big", size=1))).content) == LARGEST
    with (folder / "big").open("ab") as big:
        big.write(b"x")
    with pytest.raises(AttachmentRefused, match="larger than 15 MB"):
        await files.fetch(AttachmentReference("big"))


async def test_a_folder_that_is_gone_is_unavailable(tmp_path: Path) -> None:
    files = FilesDirectory(tmp_path / "none")
    with pytest.raises(FilesUnavailable):
        await files.check()
    with pytest.raises(FilesUnavailable):
        await files.fetch(AttachmentReference("a.txt"))
