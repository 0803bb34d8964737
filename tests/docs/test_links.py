"""Links within README and docs lead somewhere, and what is named is there."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.docs.pages import NAMES, PAGES, ROOT, anchors, links, spans

PATH = re.compile(
    r"(?:tests|docs|bench|access|actors|api|app|cli|dispatches|handlebars|http_client|kafka|messages"
    r"|providers|sagas|settings|stores|telemetry|tuning)/[\w./-]+"
)

CHANGES = ROOT / "CHANGELOG.md"


@pytest.mark.parametrize("page", [*PAGES, CHANGES], ids=[*NAMES, CHANGES.name])
def test_every_link_within_the_repository_leads_somewhere(page: Path) -> None:
    dead = []
    for link in links(page):
        parts = urlsplit(link)
        target = (page.parent / parts.path).resolve() if parts.path else page
        if parts.scheme:
            continue
        if not target.exists() or (parts.fragment and parts.fragment not in anchors(target)):
            dead.append(link)
    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_file_that_is_named_is_there(page: Path) -> None:
    named = {span for span in spans(page) if PATH.fullmatch(span)}
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_every_page_is_reached_from_the_first() -> None:
    reached = {Path(urlsplit(link).path).name for page in PAGES for link in links(page)}
    assert {*NAMES} - reached <= {"README.md"}


def test_the_first_page_stays_short() -> None:
    assert len(PAGES[0].read_text("utf-8").splitlines()) <= 120
