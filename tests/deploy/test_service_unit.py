"""The unit of systemd is one that it takes, and leaves the service little it could harm."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from carillon.settings import VARIABLES
from carillon.settings.file.keys import FileKeys
from tests.docs.pages import ROOT

UNIT: Final = ROOT / "deploy" / "carillon.service"
MOST_EXPOSED: Final = 1.5
"""Of 10; what is below 2 is rated `OK` by systemd, its best but for programs that need nothing."""

systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine"
)


def unit() -> configparser.RawConfigParser:
    """It, where no key counts that stands twice."""
    parser = configparser.RawConfigParser(strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as configparser documents
    parser.read_string(UNIT.read_text("utf-8"))
    return parser


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`systemd-analyze`, to its end."""
    return subprocess.run(
        ["systemd-analyze", *arguments], check=False, capture_output=True, text=True, timeout=60
    )


@systemd
def test_systemd_finds_nothing_wrong(tmp_path: Path) -> None:
    installed = str(Path(sys.executable).with_name("carillon"))
    here = tmp_path / UNIT.name
    here.write_text(UNIT.read_text().replace("/opt/carillon/bin/carillon", installed))
    ran = analyze("verify", "--man=no", str(here))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


@systemd
def test_the_service_could_harm_little() -> None:
    ran = analyze("security", "--offline=true", "--no-pager", str(UNIT))
    exposure = re.search(r"Overall exposure level for carillon.service: ([0-9.]+)", ran.stdout)
    assert exposure is not None, ran.stderr
    assert float(exposure[1]) <= MOST_EXPOSED


def test_it_sets_variables_that_the_service_reads() -> None:
    set_there = re.findall(r"^Environment=(\w+)=", UNIT.read_text(), re.MULTILINE)
    assert {"STORE_URL", "CONFIGURATION_PATH"} <= {*set_there} <= VARIABLES.keys()


def test_what_is_open_when_it_is_stopped_has_the_time_to_end() -> None:
    drain = FileKeys.model_fields["drain"].default
    seconds = float(unit()["Service"]["TimeoutStopSec"].removesuffix("s"))
    assert seconds > float(str(drain).removesuffix("s")) + 10
