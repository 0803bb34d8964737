"""Who may import whom, how large a file and a folder may be; only settings read the environment."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent
ROOMS: Final = (
    "handlebars",
    "messages",
    "http_client",
    "kafka",
    "stores",
    "providers",
    "actors",
    "supervisor",
    "dispatches",
    "sagas",
    "access",
    "telemetry",
    "settings",
    "api",
    "tuning",
    "app",
    "cli",
    "testing",
)
"""From left to right: a room imports those to its left, never one to its right."""
RANK: Final = {room: rank for rank, room in enumerate(ROOMS)}
FILES: Final = sorted(
    file for room in ROOMS for file in [*ROOT.glob(f"{room}.py"), *(ROOT / room).rglob("*.py")]
)
MOST_LINES: Final = 450
MOST_FILES: Final = 25
"""Beside each other in a folder."""
NAMED: Final = re.compile(rf"`((?:{'|'.join(ROOMS)})(?:\.[a-z_0-9]+)+)\.([A-Z]\w*)")
"""A class of ours with its module, as a docstring names it."""


def module(file: Path) -> str:
    name = ".".join(file.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES: Final = {module(file): file for file in FILES}


@cache
def imported(file: Path) -> Sequence[str]:
    """What a file imports, under `TYPE_CHECKING` and within functions, too."""
    return tuple(_imported(file))


def _imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            submodules = {f"{node.module}.{alias.name}" for alias in node.names}
            known = {name for name in submodules if name.removeprefix("carillon.") in MODULES}
            yield from known
            if len(known) < len(submodules):
                yield node.module


def ours(file: Path) -> set[str]:
    """The modules of this package that a file imports, by their names within it."""
    names = {name.removeprefix("carillon.") for name in imported(file) if "carillon." in name}
    return {name for name in names if name in MODULES}


@pytest.mark.parametrize("file", FILES, ids=module)
def test_imports_point_to_the_left(file: Path) -> None:
    room = module(file).partition(".")[0]
    for name in ours(file):
        other = name.partition(".")[0]
        assert RANK[other] <= RANK[room], f"{module(file)} imports {name}"


@pytest.mark.parametrize("file", FILES, ids=module)
def test_what_is_ours_is_imported_by_its_whole_name(file: Path) -> None:
    assert not [name for name in imported(file) if name.partition(".")[0] in RANK]


def test_no_file_leads_back_to_itself() -> None:
    graph = {name: ours(file) - {name} for name, file in MODULES.items()}
    while graph:
        ends = {name for name, uses in graph.items() if not uses & graph.keys()}
        assert ends, f"these import each other: {sorted(circle(graph))}"
        graph = {name: uses for name, uses in graph.items() if name not in ends}


def circle(graph: dict[str, set[str]]) -> set[str]:
    """What is left of a graph without the files that nobody of the rest imports."""
    while True:
        used = {name for uses in graph.values() for name in uses}
        rest = {name: uses & graph.keys() for name, uses in graph.items() if name in used}
        if rest.keys() == graph.keys():
            return set(graph)
        graph = rest


def test_the_template_engine_stands_alone() -> None:
    for name, file in MODULES.items():
        if name.startswith("handlebars"):
            assert all(other.startswith("handlebars") for other in ours(file)), name


def test_only_settings_read_the_environment() -> None:
    for file in FILES:
        if "settings" not in file.relative_to(ROOT).parts:
            assert "os.environ" not in file.read_text(), file
            assert "getenv" not in file.read_text(), file


def test_every_file_says_why_it_exists_and_stays_small() -> None:
    for file in FILES:
        text = file.read_text()
        assert ast.get_docstring(ast.parse(text)), file
        assert text.count("\n") <= MOST_LINES, file


def test_each_class_that_a_text_names_is_where_it_says() -> None:
    found = [(file, *named) for file in FILES for named in NAMED.findall(file.read_text())]
    assert found
    assert [
        (module(file), name, kind)
        for file, name, kind in found
        if name not in MODULES
        or not re.search(rf"^class {kind}\b", MODULES[name].read_text(), re.M)
    ] == []


def test_no_folder_is_too_full() -> None:
    for folder in {file.parent for file in FILES if file.parent != ROOT}:
        beside = [one for one in folder.iterdir() if one.is_file()]
        assert len(beside) <= MOST_FILES, folder


def test_the_list_of_packages_is_whole() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {
        ".".join(["carillon", *file.parent.relative_to(ROOT).parts])
        for file in [*FILES, ROOT / "__init__.py"]
    }
    assert sorted(packages) == project["tool"]["setuptools"]["packages"]
    assert {name.split(".")[1] for name in packages - {"carillon"}} == RANK.keys() - {"supervisor"}
