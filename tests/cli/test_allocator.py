"""The service's process begins anew with the allocator that gives memory back, and only that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from carillon.cli.allocator import VARIABLE, use_system_allocator
from tests.process import SERVE
from tests.running import sandbox_configuration

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is changed")


def allocator_of(folder: Path, command: Sequence[str], **environ: str) -> str:
    """What a service that listens has in its environment, under the id that it was started with."""
    (folder / "carillon.json").write_text(json.dumps(sandbox_configuration()))
    surroundings = {
        "PATH": os.environ["PATH"],
        "CONFIGURATION_PATH": str(folder / "carillon.json"),
        "STORE_URL": f"sqlite:///{folder}/carillon.db",
        "HTTP_PORT": "0",
        **environ,
    }
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=surroundings, text=True) as it:
        assert it.stdout is not None
        try:
            assert any("listening on" in line for line in it.stdout)
            held = Path(f"/proc/{it.pid}/environ").read_text().split("\0")
        finally:
            it.terminate()
            it.stdout.read()
    assert it.returncode == 0
    return dict(one.split("=", 1) for one in held if one).get(VARIABLE, "")


@pytest.mark.servers
@pytest.mark.parametrize("command", [SERVE, [sys.executable, "-m", "carillon", "serve"]])
def test_the_service_has_the_systems(tmp_path: Path, command: list[str]) -> None:
    assert allocator_of(tmp_path, command) == "malloc"


@pytest.mark.servers
def test_what_somebody_has_chosen_stays(tmp_path: Path) -> None:
    assert allocator_of(tmp_path, SERVE, PYTHONMALLOC="pymalloc") == "pymalloc"


def test_a_program_that_calls_the_command_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(*_: object) -> None:
        raise AssertionError("this process began anew")

    monkeypatch.setattr(sys, "argv", ["carillon", "serve"])
    monkeypatch.setattr(os, "execv", begin)
    use_system_allocator()
