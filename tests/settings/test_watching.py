"""The file on disk: written in place, replaced, swapped by a link, gone, and no file at all."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from carillon.messages.model import JsonValue
from carillon.settings import ConfigurationError, ConfigurationFile
from tests.settings.examples import SMS_ENVIRONMENT, sms, sms_provider

LONG_ENOUGH = 10.0
A_WHILE = 0.1


def text(**keys: JsonValue) -> str:
    return json.dumps(sms_provider(**keys))


def watched(path: Path) -> ConfigurationFile:
    return ConfigurationFile(path, SMS_ENVIRONMENT, every=0.01, settle=0.005)


async def notices(file: ConfigurationFile, act: Callable[[], object]) -> bool:
    """Whether it sees a change after this was done."""
    act()
    with trio.move_on_after(A_WHILE) as nothing:
        await file.changed()
    return not nothing.cancelled_caught


async def until_changed(file: ConfigurationFile, act: Callable[[], object]) -> None:
    act()
    with trio.fail_after(LONG_ENOUGH):
        await file.changed()


async def test_a_file_that_is_written_in_place_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(text(concurrency=1))
    file = watched(path)

    await until_changed(file, lambda: path.write_text(text(concurrency=2)))

    assert (await file.read()).providers["sms-service"].concurrency == 2
    assert not await notices(file, lambda: None)


async def test_a_change_of_the_same_size_and_time_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(text(concurrency=1))
    before = path.stat()
    file = watched(path)

    def write() -> None:
        path.write_text(text(concurrency=2))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))

    await until_changed(file, write)


async def test_a_file_that_an_editor_replaces_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(text())
    file = watched(path)
    fresh = tmp_path / "c.json.new"
    fresh.write_text(text(concurrency=2))

    await until_changed(file, lambda: fresh.replace(path))


async def test_a_folder_that_kubernetes_swaps_is_seen(tmp_path: Path) -> None:
    for version in ("one", "two"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "c.json").write_text(text(concurrency=len(version) * 3))
    (tmp_path / "two" / "c.json").write_text(text(concurrency=2))
    (tmp_path / "..data").symlink_to("one")
    path = tmp_path / "c.json"
    path.symlink_to("..data/c.json")
    file = watched(path)

    def swap() -> None:
        (tmp_path / "..tmp").symlink_to("two")
        (tmp_path / "..tmp").rename(tmp_path / "..data")

    await until_changed(file, swap)
    assert (await file.read()).providers["sms-service"].concurrency == 2


async def test_what_is_written_with_the_same_content_is_no_change(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(text())

    assert not await notices(watched(path), lambda: path.write_text(text()))


async def test_a_file_that_is_gone_is_told_once_and_again_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(text())
    file = watched(path)

    await until_changed(file, path.unlink)
    with pytest.raises(ConfigurationError, match="No such file"):
        await file.read()
    assert not await notices(file, lambda: None)

    await until_changed(file, lambda: path.write_text(text()))
    assert (await file.read()).active_channels == ("sms",)


async def test_half_of_a_file_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(text())
    file = ConfigurationFile(path, SMS_ENVIRONMENT, every=0.01, settle=0.2)
    seen: list[str] = []

    async def see() -> None:
        await file.changed()
        seen.append(path.read_text())

    path.write_text("{")
    with trio.fail_after(LONG_ENOUGH):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(see)
            await trio.sleep(0.05)
            path.write_text(text(concurrency=3))

    assert seen == [text(concurrency=3)]


async def test_a_pipe_is_read_once_only(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    file = watched(path)

    assert not await notices(file, lambda: None)
    with pytest.raises(ConfigurationError, match="no regular file"):
        await file.read()


async def test_a_file_that_is_wrong_says_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(text(concurrency=0))

    with pytest.raises(ConfigurationError, match="concurrency: 0 is not allowed"):
        await watched(path).read()


def test_it_is_the_file_that_the_environment_names(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    path.write_text(json.dumps(sms()))

    file = ConfigurationFile.of(SMS_ENVIRONMENT | {"CONFIGURATION_PATH": str(path)})
    assert file is not None
    assert file.path == path
    assert ConfigurationFile.of({"CONFIGURATION_PATH": " "}) is None
    assert ConfigurationFile.of({"CONFIGURATION_PATH": "a\0b"}) is not None
