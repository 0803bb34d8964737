"""The operator token stands in a file for one run of a service, and for its user only."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from carillon.access.operator_token import OperatorToken, read_token


def test_a_token_opens_once_it_can_be_read(tmp_path: Path) -> None:
    token, file = OperatorToken(), tmp_path / "token"
    assert not token.is_shown(token.text)
    token.publish(file)
    assert read_token(file) == token.text
    assert token.is_shown(token.text)
    assert not OperatorToken().is_shown(token.text)
    token.remove()
    assert not token.is_shown(token.text)
    assert [*tmp_path.iterdir()] == []


def test_no_two_are_alike_and_no_header_minds_them() -> None:
    texts = {OperatorToken().text for _ in range(100)}
    assert len(texts) == 100
    assert all(text.isascii() and text.startswith("loopback.") for text in texts)
    assert all(len(text) == len("loopback.") + 43 for text in texts)


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o777], ids=oct)
def test_the_file_is_for_its_owner_only(tmp_path: Path, umask: int) -> None:
    file = tmp_path / "token"
    file.touch()
    file.chmod(0o666)
    before = os.umask(umask)
    try:
        OperatorToken().publish(file)
    finally:
        os.umask(before)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_link_in_its_place_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    (tmp_path / "token").symlink_to(tmp_path / "elsewhere")
    OperatorToken().publish(tmp_path / "token")
    assert not (tmp_path / "token").is_symlink()
    assert (tmp_path / "elsewhere").read_text() == ""


def test_a_folder_that_is_not_there_is_made_for_its_owner_only(tmp_path: Path) -> None:
    token = OperatorToken()
    token.publish(tmp_path / "state" / "carillon" / "token")
    assert stat.S_IMODE((tmp_path / "state" / "carillon").stat().st_mode) == 0o700


def test_what_another_service_wrote_since_stays(tmp_path: Path) -> None:
    first, second = OperatorToken(), OperatorToken()
    first.publish(tmp_path / "token")
    second.publish(tmp_path / "token")
    first.remove()
    assert read_token(tmp_path / "token") == second.text


def test_a_token_that_was_never_written_needs_no_removal() -> None:
    OperatorToken().remove()


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    token = OperatorToken()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"):
        token.publish(tmp_path / "file" / "token")
    with pytest.raises(OSError, match="irectory"):
        token.publish(tmp_path)
    assert not token.is_published


@pytest.mark.parametrize(
    "content", [b"", b"\n", b"two words", b"\xff\xfe", b"a\x00b", b"x" * 201, b"a\nb", "é".encode()]
)
def test_what_is_no_token_is_none(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "token"
    assert read_token(file) is None
    assert read_token(file / "below") is None
    file.write_bytes(content)
    assert read_token(file) is None


def test_a_pipe_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "token")
    assert read_token(tmp_path / "token") is None
