from __future__ import annotations

import io
import json
import os
import pty
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from rich.console import Console

from carillon.cli.providers.client import ProviderAnswer
from carillon.cli.providers.report import table
from tests.cli.command_line import SCRIPT, clean_environment, script, started
from tests.cli.operated import Operated, provider, run
from tests.neighbours.http import json_answer, mia_error, serve

WATCH = [SCRIPT, "providers", "watch", "--interval", "0.1"]
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


async def test_a_pipe_gets_an_object_a_line(tmp_path: Path) -> None:
    service = Operated(provider("a"), provider("b"))
    async with serve(service.answer) as server:
        async with started([*WATCH, "b"], tmp_path, CARILLON_URL=server.url) as watching:
            await watching.says("running")
            service.providers["b"] = provider("b", state="paused")
            await watching.says('"state": "paused"')
            assert await watching.ends(signal.SIGINT) == 0
    told = [json.loads(line) for line in watching.text.splitlines()]
    assert told[0]["providers"] == [provider("b")]
    assert told[0]["configuration"]["error"] is None
    assert told[0]["at"] < told[1]["at"]
    assert (tmp_path / "stderr").read_text() == ""


async def test_a_service_that_goes_away_is_asked_until_it_is_back(tmp_path: Path) -> None:
    service = Operated(provider("a"))
    async with serve(service.answer) as server:
        url, port = server.url, int(server.url.rpartition(":")[2])
        async with started(WATCH, tmp_path, CARILLON_URL=url) as watching:
            await watching.says("running")
            server.stop()
            await watching.says('"error": "No service answers')
            service.providers["a"] = provider("a", state="draining")
            async with serve(service.answer, port):
                await watching.says("draining")
            assert await watching.ends(signal.SIGTERM) == 0


async def test_a_refusal_ends_it(tmp_path: Path) -> None:
    service = Operated(provider("a"))
    async with serve(service.answer) as server:
        async with started(WATCH, tmp_path, CARILLON_URL=server.url) as watching:
            await watching.says("running")
            service.others["/providers"] = mia_error(401, "A key is needed")
            with trio.fail_after(10):
                assert await watching.process.wait() == 2
    assert "A key is needed" in (tmp_path / "stderr").read_text()


async def test_what_is_wrong_from_the_start_is_told(tmp_path: Path) -> None:
    async with serve(Operated(provider("sms-service")).answer) as server:
        environ = {"CARILLON_URL": server.url}
        unknown = await script(tmp_path, *WATCH[1:], "sms-servise", environ=environ)
    away = await script(tmp_path, *WATCH[1:], environ=environ)
    assert (unknown.returncode, away.returncode) == (2, 1)
    assert b'There is no provider sms-servise; did you mean "sms-service"?' in unknown.stderr
    assert b"No service answers" in away.stderr


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    ours, theirs = pty.openpty()
    try:
        yield ours, theirs
    finally:
        os.close(ours)
        os.close(theirs)


async def test_a_terminal_shows_a_table_that_changes(tmp_path: Path) -> None:
    service = Operated(provider("sms-service"), refusal="providers.x: is wrong")
    environ = {"TERM": "xterm", "COLUMNS": "160", "LINES": "40"}
    async with serve(service.answer) as server:
        with terminal() as (ours, theirs):
            command = subprocess.Popen(  # noqa: ASYNC220 - it only starts
                WATCH,
                stdin=subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                cwd=tmp_path,
                env={**clean_environment(tmp_path, environ), "CARILLON_URL": server.url, **environ},
            )
            try:
                seen = await until(ours, "running")
                assert HIDE in seen
                seen = await until(ours, "in force: providers.x: is wrong")
                service.providers["sms-service"] = provider("sms-service", state="breaker-open")
                await until(ours, "breaker-open")
                server.stop()
                await until(ours, "No service answers")
                command.send_signal(signal.SIGINT)
                assert SHOW in await until(ours, SHOW)
                assert await trio.to_thread.run_sync(command.wait) == 0
            finally:
                command.kill()
                command.wait()


async def until(terminal: int, text: str) -> str:
    """What the terminal showed until this was among it."""
    seen = ""
    with trio.fail_after(20):
        while text not in " ".join(seen.split()) and text not in seen:
            await trio.lowlevel.wait_readable(terminal)
            seen += os.read(terminal, 65536).decode(errors="replace")
    return seen


@pytest.mark.parametrize("interval", ["0", "-1", "soon"])
async def test_an_interval_is_some_time(interval: str) -> None:
    async with serve(json_answer({})) as server:
        result = await run(server.url, "providers", "watch", "--interval", interval)
    assert result.exit_code == 2
    assert server.requests == []


def test_eighty_columns_are_enough() -> None:
    out = io.StringIO()
    busy = provider(
        "sms-service",
        state="breaker-open",
        waiting={"deliveries": 12345, "oldest": 4000, "why": "breaker", "opensIn": 21},
        rate=[{"limit": 100, "per": "1m", "used": 98}, {"limit": 10, "per": "1s", "used": 10}],
        breaker={"state": "open", "failures": 10},
    )
    Console(file=out, width=80).print(table([ProviderAnswer.model_validate(busy)]))
    lines = [line.split() for line in out.getvalue().splitlines() if line.strip()]
    assert lines[-2:] == [
        ["sms-service", "breaker-open", "0/20", "12,345", "breaker,", "98/100/1m"],
        ["sms", "open", "(10)", "1h", "6m", "21s", "10/10/1s"],
    ]
