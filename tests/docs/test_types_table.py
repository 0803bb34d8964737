"""The page about the configuration has the tables that the registry of providers makes."""

from __future__ import annotations

from carillon.providers.registry import TYPES
from tests.docs.types_table import PAGE, TABLES, filled


def test_the_page_tells_of_every_type_what_the_registry_says() -> None:
    page = PAGE.read_text("utf-8")
    assert all(f"<!-- {name} -->\n" in page for name in TABLES)
    assert page == filled(page), "python -m tests.docs.types_table writes the tables"


def test_every_type_has_a_row() -> None:
    rows = [line for line in TABLES["types"]().splitlines() if line.startswith("| `")]
    assert [line.split("`")[1] for line in rows] == [*TYPES]
