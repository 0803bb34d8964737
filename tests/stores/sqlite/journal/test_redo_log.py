"""The redo log gives back what was durable, in order, and nothing else, whatever was left in it."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest

from carillon.stores.sqlite.journal.redo_log import SEGMENT, RedoLog, look, set_aside

US, OTHERS = b"12345678", b"87654321"


def opened(folder: Path, identity: bytes = US) -> RedoLog:
    return RedoLog(folder / "store.db", identity, sync=True)


def found(folder: Path, applied: int = 0, identity: bytes = US) -> list[bytes]:
    with closing(opened(folder, identity)) as log:
        return list(log.begin(applied))


def written(folder: Path, bodies: Sequence[bytes], applied: int = 0) -> None:
    with closing(opened(folder)) as log:
        for _ in log.begin(applied):
            pass
        for body in bodies:
            log.append(body, applied)


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("store.db-log?"))


def test_a_new_log_holds_nothing_and_is_of_full_size(tmp_path: Path) -> None:
    assert found(tmp_path) == []
    assert [file.stat().st_size for file in files(tmp_path)] == [SEGMENT, SEGMENT]


def test_what_the_tables_lack_is_given_back_in_order(tmp_path: Path) -> None:
    written(tmp_path, [b"a", b"b" * 5000, b"c"])
    assert found(tmp_path) == [b"a", b"b" * 5000, b"c"]
    assert found(tmp_path, 2) == [b"c"]
    assert found(tmp_path, 3) == []


def test_groups_of_another_store_and_of_a_store_put_back_are_none_of_ours(tmp_path: Path) -> None:
    written(tmp_path, [b"a", b"b"])
    assert found(tmp_path, identity=OTHERS) == []
    assert found(tmp_path, 7) == []


@pytest.mark.parametrize("at", [0, 5, 9, 15, 20, 24, 29])
def test_a_group_that_was_not_written_whole_is_none_and_so_are_those_behind_it(
    at: int, tmp_path: Path
) -> None:
    written(tmp_path, [b"first", b"second", b"third"])
    length = 24 + len(b"first")
    with files(tmp_path)[0].open("r+b") as file:
        file.seek(length + at)
        byte = file.read(1)
        file.seek(length + at)
        file.write(bytes([byte[0] ^ 0xFF]))
    assert found(tmp_path) == [b"first"]


def test_writing_goes_on_behind_a_restart(tmp_path: Path) -> None:
    written(tmp_path, [b"a", b"b"])
    written(tmp_path, [b"c"], applied=2)
    assert found(tmp_path, 2) == [b"c"]


def test_the_files_take_turns_and_what_is_left_in_them_is_not_taken_for_new(
    tmp_path: Path,
) -> None:
    body = bytes(SEGMENT // 3)
    with closing(opened(tmp_path)) as log:
        list(log.begin(0))
        for number in range(1, 15):
            assert log.append(b"%d" % number + body, number - 1) == number
    assert max(file.stat().st_size for file in files(tmp_path)) < 2 * SEGMENT
    assert [one[:2] for one in found(tmp_path, 12)] == [b"13", b"14"]


def test_a_file_that_the_tables_lack_is_not_begun_anew(tmp_path: Path) -> None:
    body = bytes(SEGMENT // 3)
    with closing(opened(tmp_path)) as log:
        list(log.begin(0))
        for _ in range(14):
            log.append(body, 0)
    assert len(found(tmp_path)) == 14


def test_a_file_system_that_knows_no_durable_writes_is_asked_to_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> int:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    synced: list[int] = []
    monkeypatch.setattr(os, "pwritev", unknown)
    monkeypatch.setattr(os, "fsync", synced.append)
    with closing(opened(tmp_path)) as log:
        list(log.begin(0))
        synced.clear()
        log.append(b"a", 0)
    assert len(synced) == 1
    assert found(tmp_path) == [b"a"]


def test_a_write_that_failed_is_written_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwritev
    with closing(opened(tmp_path)) as log:
        list(log.begin(0))
        log.append(b"a", 0)

        def half(descriptor: int, buffers: Sequence[memoryview], at: int, flags: int) -> int:
            real(descriptor, [buffers[0][:10]], at, flags)
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "pwritev", half)
        with pytest.raises(OSError, match="No space"):
            log.append(b"lost", 0)
        monkeypatch.undo()
        assert log.append(b"b", 0) == 2
    assert found(tmp_path) == [b"a", b"b"]


def test_a_group_whose_write_failed_when_it_was_whole_is_never_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwritev

    def whole(descriptor: int, buffers: Sequence[memoryview], at: int, flags: int) -> int:
        real(descriptor, [buffers[0]], at, flags)
        raise OSError(errno.EIO, "Input/output error")

    with closing(opened(tmp_path)) as log:
        list(log.begin(0))
        log.append(b"a", 0)
        while log._files[0].end < SEGMENT:
            log.append(b"x" * 100_000, 0)
        filled = log._number
        monkeypatch.setattr(os, "pwritev", whole)
        for _ in range(2):  # while the disk refuses that, too, nothing else is written
            with pytest.raises(OSError, match="Input"):
                log.append(b"told 503", 0)
        monkeypatch.undo()
        assert log.append(b"told 202", filled) == filled + 1
    assert found(tmp_path, filled) == [b"told 202"]


def test_it_is_not_found_either_when_the_process_dies_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, failures = os.pwritev, [OSError(errno.EIO, "Input/output error")]

    def whole(descriptor: int, buffers: Sequence[memoryview], at: int, flags: int) -> int:
        written = real(descriptor, [buffers[0]], at, flags)
        if failures:
            raise failures.pop()
        return written

    with closing(opened(tmp_path)) as log:
        list(log.begin(0))
        monkeypatch.setattr(os, "pwritev", whole)
        with pytest.raises(OSError, match="Input"):
            log.append(b"told 503", 0)
        monkeypatch.undo()
    assert found(tmp_path) == []


def shortened(folder: Path, size: int) -> None:
    for file in files(folder):
        os.truncate(file, size)


def test_a_short_file_is_made_longer_and_what_is_in_it_stays(tmp_path: Path) -> None:
    """A disk that is nearly full leaves one; to write it full of zeros again forgot its groups."""
    written(tmp_path, [b"a", b"b" * 5000, b"c"])
    shortened(tmp_path, 6000)
    assert found(tmp_path) == [b"a", b"b" * 5000, b"c"]
    assert [file.stat().st_size for file in files(tmp_path)] == [SEGMENT, SEGMENT]
    assert found(tmp_path) == [b"a", b"b" * 5000, b"c"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EFBIG, errno.EDQUOT])
def test_where_there_is_no_room_it_stays_short_and_nothing_is_lost(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(tmp_path, [b"a", b"b"])
    shortened(tmp_path, 3000)

    def full(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with closing(opened(tmp_path)) as log:
        assert list(log.begin(0)) == [b"a", b"b"]
        assert log.append(b"c", 2) == 3
    assert found(tmp_path, 2) == [b"c"]


def test_a_file_system_that_reserves_nothing_is_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknown(*_: object) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "posix_fallocate", unknown)
    assert found(tmp_path) == []
    assert [file.stat().st_size for file in files(tmp_path)] == [SEGMENT, SEGMENT]


def test_a_write_that_takes_a_part_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.pwritev

    def some(descriptor: int, buffers: Sequence[memoryview], at: int, flags: int) -> int:
        return real(descriptor, [buffers[0][:7]], at, flags)

    monkeypatch.setattr(os, "pwritev", some)
    written(tmp_path, [b"a" * 100, b"b"])
    assert found(tmp_path) == [b"a" * 100, b"b"]


def test_a_write_that_takes_nothing_is_an_error_and_no_endless_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(opened(tmp_path)) as log:
        list(log.begin(0))
        monkeypatch.setattr(os, "pwritev", lambda *_: 0)
        with pytest.raises(OSError, match="nothing was written"):
            log.append(b"a", 0)


def test_a_file_that_cannot_be_opened_leaves_no_other_open(tmp_path: Path) -> None:
    (tmp_path / "store.db-log1").mkdir()
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(OSError, match="directory"):
        opened(tmp_path)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_next_life_finds_nothing_of_the_one_before(tmp_path: Path) -> None:
    with closing(opened(tmp_path)) as log:
        list(log.begin(0))
        log.append(b"a", 0)
        log.renew(OTHERS)
    assert found(tmp_path) == found(tmp_path, identity=OTHERS) == []
    with closing(opened(tmp_path, OTHERS)) as log:
        list(log.begin(1))
        assert log.append(b"b", 1) == 2
    assert found(tmp_path, 1, OTHERS) == [b"b"]


def test_a_look_finds_groups_and_files_of_other_lives_and_changes_nothing(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    assert look(store, US, US).foreign == []
    assert files(tmp_path) == []
    written(tmp_path, [b"a", b"b"])
    assert look(store, US, OTHERS).groups == {1: b"a", 2: b"b"}
    assert look(store, OTHERS, US).foreign == []  # the tables have what is of the life before
    assert look(store, OTHERS, OTHERS).foreign == [files(tmp_path)[0]]


def test_what_is_set_aside_is_kept_under_a_name_of_its_own(tmp_path: Path) -> None:
    names = set[Path]()
    for body in (b"a", b"b"):
        written(tmp_path, [body])
        names.update(set_aside(files(tmp_path)[:2]))
    assert len(names) == 4
    assert set_aside([tmp_path / "gone"]) == []
