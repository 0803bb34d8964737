"""Who may import whom: only to the left, and nobody but the settings reads the environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
RANKS = (
    ("messages",),
    ("stores", "providers"),
    ("actors",),
    ("supervisor",),
    ("api",),
    ("settings",),
    (
        "assembly",
        "bookkeeping",
        "replicas",
        "sagas",
        "streams",
        "tuning",
        "upkeep",
        "service",
        "cli",
    ),
)
RANK = {room: rank for rank, rooms in enumerate(RANKS) for room in rooms}
FILES = sorted(
    file for room in RANK for file in [*ROOT.glob(f"{room}.py"), *(ROOT / room).rglob("*.py")]
)


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_imports_point_to_the_left(file: Path) -> None:
    room = file.relative_to(ROOT).parts[0].removesuffix(".py")
    for name in imported(file):
        other = name.partition(".")[0]
        if other in RANK and other != room:
            beside = RANK[other] == RANK[room] == len(RANKS) - 1
            assert RANK[other] < RANK[room] or beside, f"{room} imports {name}"


def test_templates_stand_alone() -> None:
    for file in (ROOT / "messages" / "templates").rglob("*.py"):
        for name in imported(file):
            ours = name.partition(".")[0] in RANK
            assert not ours or name.startswith("carillon.handlebars"), f"{file.name}: {name}"


def test_only_settings_read_the_environment() -> None:
    for file in FILES:
        if "settings" not in file.relative_to(ROOT).parts:
            assert "os.environ" not in file.read_text(), file
            assert "getenv" not in file.read_text(), file


def test_every_file_says_why_it_exists_and_stays_small() -> None:
    for file in FILES:
        text = file.read_text()
        assert ast.get_docstring(ast.parse(text)), file
        assert text.count("\n") <= 450, file
