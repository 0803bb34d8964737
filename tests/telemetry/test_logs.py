"""The log's first line, its two forms, and how little is written of those who read on and on."""

from __future__ import annotations

import io
import json
from pathlib import Path

import httpx
import pytest
import trio

from carillon.app.service import run
from carillon.app.stop import Stop
from carillon.messages.version import VERSION
from carillon.telemetry.logs import make_logger
from tests.running import operator, running, sandbox_configuration, settings_for


def text_of(message: str, **fields: object) -> str:
    log = io.StringIO()
    make_logger("info", log, "text").warning(message, extra={"fields": fields})
    return log.getvalue()


def test_text_is_one_line_with_its_fields_in_order() -> None:
    line = text_of("attempt ended", provider="sms-service", status=None, why='said "no"', counts=3)
    assert line.endswith(
        'WARNING   attempt ended  provider=sms-service  why="said \\"no\\""  counts=3\n'
    )
    assert line[:4].isdecimal()


def test_nothing_from_outside_begins_a_line_of_text() -> None:
    line = text_of("one\ntwo\x1b[31m", **{"url.path": "/a\r\nERROR \u2028crashed"})
    assert line.count("\n") == 1
    assert not {"\x1b", "\r", "\u2028"} & set(line)


def test_a_crash_in_text_has_its_places_below_it_and_not_its_words() -> None:
    log = io.StringIO()
    try:
        int("ada@example.com")
    except ValueError as error:
        make_logger("info", log, "text").error("crashed", exc_info=error)
    first, *below = log.getvalue().splitlines()
    assert first.endswith("crashed")
    assert below[0].strip() == "ValueError"
    assert "test_logs.py" in below[1]
    assert "ada@" not in log.getvalue()


def test_a_stream_that_is_no_utf_8_gets_text_all_the_same() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    make_logger("info", stream, "text").warning("caffè")
    assert b"caff\\xe8" in raw.getvalue()


@pytest.mark.slow
async def test_the_first_line_says_what_begins(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        first = service.log_lines[0]
    assert first["msg"] == "starting"
    assert first["version"] == VERSION
    assert first["store"] == str(tmp_path / "carillon.db")
    assert first["configuration"] is None
    assert first["channels"] == ["email", "sms", "push", "voice"]
    names = [f"{name}-sandbox" for name in ("email", "sms", "push", "voice")]
    assert first["providers"] == dict.fromkeys(names, "sandbox")
    assert first["apiKeys"] == 0


@pytest.mark.slow
async def test_who_watches_providers_does_not_fill_the_log(tmp_path: Path) -> None:
    log, stop = io.StringIO(), Stop()
    settings = settings_for(tmp_path, sandbox_configuration())
    async with trio.open_nursery() as nursery:
        url = await nursery.start(run, settings, stop, make_logger("info", log))
        async with httpx.AsyncClient(base_url=url, timeout=30) as client:
            client.headers.update(operator(tmp_path / "carillon.db-token"))
            for _ in range(20):
                assert (await client.get("/providers")).status_code == 200
            for _ in range(3):
                assert (await client.get("/dispatches/nobody")).status_code == 404
        stop.asked.set()
    lines = [json.loads(one) for one in log.getvalue().splitlines()]
    paths = [one["url.path"] for one in lines if one["msg"] == "request completed"]
    assert paths == ["/providers", *["/dispatches/nobody"] * 3]  # what fails is always told
