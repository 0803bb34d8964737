"""A pipe in the place of a file never holds up a start; one that ends soon is read."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from carillon.cli.failure import BadInput
from carillon.cli.key_file import read_file
from carillon.messages.model import Document
from carillon.sagas.command import MetadataSchema
from carillon.settings import ConfigurationError, load
from carillon.settings.file.opening import read_start
from carillon.settings.flow.functions import flow_functions
from carillon.settings.model import FlowManagerSettings
from carillon.settings.providers import check_providers
from tests.settings.examples import SMS_ENVIRONMENT, problems, settings, sms

WHY = "it is a pipe or a device, and does not end within 1 s"


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


def test_a_file_is_read_up_to_so_many_bytes(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"a" * 100_000)
    assert read_start(file, 1_000_000) == b"a" * 100_000
    assert read_start(file, 70_000) == b"a" * 70_000


def test_what_is_no_file_is_told_in_the_system_s_words(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_start(tmp_path, 10)
    with pytest.raises(FileNotFoundError):
        read_start(tmp_path / "nothing", 10)


def test_a_device_without_end_is_read_up_to_so_many_bytes() -> None:
    assert read_start(Path("/dev/zero"), 100_000) == bytes(100_000)
    assert read_start(Path("/dev/null"), 100) == b""


def test_a_pipe_that_ends_soon_is_read_whole() -> None:
    """As the shell's `<(…)` is: its writer may be slower than its reader."""
    with subprocess.Popen(["sh", "-c", "sleep 0.1; seq 20000"], stdout=subprocess.PIPE) as it:
        assert it.stdout is not None
        content = read_start(Path(f"/dev/fd/{it.stdout.fileno()}"), 1_000_000)
    assert content.split() == [b"%d" % number for number in range(1, 20_001)]


def test_a_pipe_that_somebody_holds_open_is_given_up(pipe: Path) -> None:
    held = os.open(pipe, os.O_RDWR)
    os.write(held, b"{")
    with pytest.raises(TimeoutError, match=WHY):
        read_start(pipe, 10)
    os.close(held)


def test_no_configuration_and_no_keys_are_waited_for(pipe: Path) -> None:
    with pytest.raises(ConfigurationError, match=WHY):
        load({"CONFIGURATION_PATH": str(pipe)})
    [problem] = problems(sms(), {**SMS_ENVIRONMENT, "API_KEYS_FILE": str(pipe)})
    assert problem == f"API_KEYS_FILE: must name a file that can be read ({WHY})"
    with pytest.raises(BadInput, match=WHY):
        read_file(pipe)


def test_no_account_is_waited_for(pipe: Path) -> None:
    document: Document = {
        "activeChannels": ["push"],
        "sender": {"push": "Shop"},
        "providers": {"firebase": {"credentials": {"file": str(pipe)}}},
    }
    with pytest.raises(ConfigurationError, match="names no file that exists"):
        check_providers(settings(document, {}))


async def test_no_function_is_waited_for(pipe: Path) -> None:
    flow = FlowManagerSettings(MetadataSchema(("channels",)), data_file=pipe)
    with pytest.raises(ConfigurationError, match=WHY):
        await flow_functions(flow)
