"""What is built is whole: the wheel works elsewhere, and the locks name no host."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXTS = (".md", ".py", ".toml")
RUN_ALONE = """
import sys
sys.meta_path[:] = [f for f in sys.meta_path if "Editable" not in getattr(f, "__name__", "")]
import carillon.app.service, carillon.handlebars.helpers
assert carillon.__file__.startswith(sys.argv[1]), carillon.__file__
from importlib.resources import files
assert files("carillon.api").joinpath("documentation.html").is_file()
from importlib.metadata import distribution
from carillon.messages.version import VERSION
installed = distribution("carillon-messaging")
assert installed.version == VERSION, installed.version
assert {"kafka", "javascript"} <= {*installed.metadata.get_all("Provides-Extra")}
[script] = installed.entry_points.select(group="console_scripts")
assert script.name == "carillon", script
sys.argv = ["carillon", "--help"]
script.load()()
"""


def test_the_wheel_works_elsewhere(tmp_path: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    source = tmp_path / "source"
    source.mkdir()
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if (ROOT / name).is_file() and not name.startswith("tests/"):
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            (source / name).write_bytes((ROOT / name).read_bytes())
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)]
    subprocess.run(build, check=True, capture_output=True)
    [wheel] = tmp_path.glob("carillon_messaging-*.whl")
    target = tmp_path / "elsewhere"
    subprocess.run(
        [*pip, "install", "--no-deps", "--target", str(target), str(wheel)],
        check=True,
        capture_output=True,
    )
    installed = {one.name for one in target.iterdir() if one.suffix != ".dist-info"}
    assert installed - {"bin"} == {"carillon"}  # one name at the top, and the command
    assert not (target / "carillon" / "tests").exists()
    ran = subprocess.run(
        [sys.executable, "-c", RUN_ALONE, str(target)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(target)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    assert "carillon" in ran.stdout.lower()


LOCKS = (
    *("requirements.lock", "requirements-dev.lock", "deploy/requirements.lock"),
    "tests/neighbours/mongodb.lock",
)


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_pins_with_hashes_and_names_no_host(name: str) -> None:
    lines = (ROOT / name).read_text().splitlines()
    pinned = [line for line in lines if "==" in line and not line.startswith(" ")]
    assert pinned
    assert all(line.endswith("\\") for line in pinned)
    assert not [line for line in lines if "://" in line or line.startswith("--")]


def test_what_is_said_to_install_is_ours() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    names = [name for name in listed.stdout.decode().split("\0") if name.endswith(TEXTS)]
    strangers = re.compile(r"\bcarillon\[[a-z]+\]|pip install '?carillon\b(?!-messaging)")
    found = [name for name in names if strangers.search((ROOT / name).read_text("utf-8"))]
    assert len(names) > 300
    assert found == []
