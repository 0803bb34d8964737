"""`carillon dispatches watch` against a stand-in that moves when the test says so."""

from __future__ import annotations

import io
import json
import signal
import subprocess
from pathlib import Path

import pytest
import trio
from rich.console import Console

from carillon.cli.dispatches.client import DispatchAnswer
from carillon.cli.dispatches.report import sentence
from carillon.cli.dispatches.watch import line, picture
from carillon.cli.failure import Failure
from carillon.messages.model import Document
from tests.cli.command_line import SCRIPT, clean_environment, invoke, script, started
from tests.cli.providers.test_watch import HIDE, SHOW, terminal, until
from tests.neighbours.http import Answer, Request, json_answer, mia_error, serve

ID = "6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11"
WATCH = [SCRIPT, "dispatches", "watch", ID, "--interval", "0.1"]


def dispatch(state: str = "running", *, ended: bool = False, **counts: int) -> Document:
    return {
        "id": ID,
        "state": state,
        "channels": ["sms"],
        "counts": {**counts},
        "createdAt": "2026-05-01T09:00:00.000Z",
        "endedAt": "2026-05-01T09:01:00.000Z" if ended else None,
    }


class OneDispatch:
    """Tells `now` of the only dispatch there is."""

    def __init__(self, now: Document) -> None:
        self.now = now
        self.refusal: Answer | None = None

    async def answer(self, request: Request) -> Answer:
        if self.refusal is not None:
            return self.refusal
        if request.path != f"/dispatches/{ID}":
            return mia_error(404, "not found")
        return json_answer(self.now)


async def test_a_pipe_gets_a_line_a_change_until_the_end(tmp_path: Path) -> None:
    service = OneDispatch(dispatch(pending=1200, sent=0))
    async with serve(service.answer) as server:
        async with started(WATCH, tmp_path, CARILLON_URL=server.url) as watching:
            await watching.says("pending")
            seen = len(server.requests)
            while len(server.requests) < seen + 3:
                await trio.sleep(0.02)
            service.now = dispatch(pending=0, sent=1199, failed=1)
            await watching.says("failed")  # all have ended, and the audience is still being read
            service.now = dispatch("done", ended=True, sent=1199, failed=1)
            with trio.fail_after(10):
                assert await watching.process.wait() == 0
            await watching.says("ended")
    assert watching.text.splitlines() == [
        "running: 1,200 pending",
        "running: 1,199 sent, 1 failed",
        "ended: 1,199 sent, 1 failed",
    ]
    assert (tmp_path / "stderr").read_text() == ""


async def test_json_is_what_the_service_told(tmp_path: Path) -> None:
    service = OneDispatch({**dispatch(pending=1), "later": {"key": 1}})
    async with serve(service.answer) as server:
        words = [*WATCH, "--json"]
        async with started(words, tmp_path, CARILLON_URL=server.url) as watching:
            await watching.says("pending")
            first, service.now = service.now, dispatch("cancelled", ended=True, cancelled=1)
            await watching.says("cancelled")
            with trio.fail_after(10):
                assert await watching.process.wait() == 0
    assert [json.loads(one) for one in watching.text.splitlines()] == [first, service.now]


async def test_a_service_that_goes_away_is_asked_until_it_is_back(tmp_path: Path) -> None:
    service = OneDispatch(dispatch(pending=1))
    async with serve(service.answer) as server:
        port = int(server.url.rpartition(":")[2])
        async with started(WATCH, tmp_path, CARILLON_URL=server.url) as watching:
            await watching.says("running")
            server.stop()
            await watching.says("No service answers")
            service.now = dispatch("done", ended=True, sent=1)
            async with serve(service.answer, port):
                await watching.says("ended: 1 sent")
                with trio.fail_after(10):
                    assert await watching.process.wait() == 0


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
async def test_whoever_has_seen_enough_ends_it(ending: signal.Signals, tmp_path: Path) -> None:
    async with serve(OneDispatch(dispatch(pending=1)).answer) as server:
        async with started(WATCH, tmp_path, CARILLON_URL=server.url) as watching:
            await watching.says("running")
            assert await watching.ends(ending) == 0
    assert {request.method for request in server.requests} == {"GET"}


async def test_a_refusal_ends_it(tmp_path: Path) -> None:
    service = OneDispatch(dispatch(pending=1))
    async with serve(service.answer) as server:
        async with started(WATCH, tmp_path, CARILLON_URL=server.url) as watching:
            await watching.says("running")
            service.refusal = mia_error(404, "It has been erased")
            with trio.fail_after(10):
                assert await watching.process.wait() == 2
    assert "It has been erased" in (tmp_path / "stderr").read_text()


async def test_what_is_wrong_from_the_start_is_told(tmp_path: Path) -> None:
    async with serve(OneDispatch(dispatch()).answer) as server:
        environ = {"CARILLON_URL": server.url}
        unknown = await script(tmp_path, "dispatches", "watch", "x", environ=environ)
    away = await script(tmp_path, *WATCH[1:], environ=environ)
    assert (unknown.returncode, away.returncode) == (2, 1)
    assert unknown.stderr.startswith(b"carillon: The service answered 404: ")
    assert b"No service answers" in away.stderr


async def test_a_terminal_shows_a_bar_that_fills_and_ends(tmp_path: Path) -> None:
    service = OneDispatch(dispatch(pending=1000, sent=200))
    environ = {"TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
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
                seen = await until(ours, "Ctrl-C ends this, and not the dispatch")
                assert HIDE in seen
                assert "200 of 1,200 ended" in seen
                service.now = dispatch("done", ended=True, sent=1199, failed=1)
                assert SHOW in await until(ours, SHOW)
                assert await trio.to_thread.run_sync(command.wait) == 0
            finally:
                command.kill()
                command.wait()


def pictured(now: Document, look: Failure | None = None) -> list[str]:
    """The picture of a dispatch on 80 columns, line by line."""
    told = DispatchAnswer.model_validate(now)
    out = io.StringIO()
    Console(file=out, width=80).print(picture(told, look or told))
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("now", "filled", "words"),
    [
        (dispatch("done", ended=True), 40, "0 of 0 ended"),
        (dispatch("done", ended=True, sent=20_000), 40, "20,000 of 20,000 ended"),
        (dispatch(), 0, "0 of 0 ended"),
        (dispatch("cancelled", pending=3, cancelled=9), 30, "9 of 12 ended"),
    ],
)
def test_eighty_columns_are_enough(now: Document, filled: int, words: str) -> None:
    lines = pictured(now)
    assert f"{'━' * filled:40} {words}" in lines
    assert max(map(len, lines)) <= 80
    assert (lines[-1] == "Ctrl-C ends this, and not the dispatch") == (now["endedAt"] is None)


def test_what_went_wrong_stands_below_what_was_seen_last() -> None:
    lines = pictured(dispatch(pending=3, sent=1), Failure("No service answers\x1b[2J"))
    assert lines[-2].endswith(" 1 of 4 ended")
    assert lines[-1] == r"No service answers\x1b[2J"


@pytest.mark.parametrize("command", ["show", "watch", "cancel", "redrive"])
def test_an_id_that_is_empty_is_told_before_anybody_is_asked(command: str) -> None:
    result = invoke("dispatches", command, "", CARILLON_URL="http://127.0.0.1:9")
    assert result.exit_code == 2
    assert result.stderr == "carillon: The id of a dispatch must not be empty\n"


def read_so_far(read: int, total: int | None, *, complete: bool = False) -> Document:
    return {"audience": {"read": read, "total": total, "complete": complete}}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (read_so_far(1250, 20_000), "819 of 20,000 ended"),
        (read_so_far(1250, None), "819 of 1,250 ended so far, the audience is still being read"),
        (read_so_far(1250, 1250, complete=True), "819 of 1,250 ended"),
    ],
)
def test_the_bar_counts_the_audience_where_it_is_known(told: Document, expected: str) -> None:
    screen = io.StringIO()
    one = DispatchAnswer.model_validate({**dispatch(pending=431, sent=819), **told})
    Console(file=screen, width=120).print(picture(one, one))
    assert expected in screen.getvalue()


def test_whoever_looks_is_told_what_was_not_read() -> None:
    running = DispatchAnswer.model_validate({**dispatch(sent=819), **read_so_far(1250, 20_000)})
    assert line(running) == "running: 819 sent; 1,250 of 20,000 recipients read so far"
    over = DispatchAnswer.model_validate(
        {**dispatch("cancelled", ended=True, sent=819), **read_so_far(1250, None)}
    )
    assert line(over) == "cancelled: 819 sent; 1,250 recipients read, the rest were sent nothing"
    assert "the rest were sent nothing" in sentence(over)
    crashed = DispatchAnswer.model_validate(
        {**dispatch("crashed", ended=True), **read_so_far(1, 1), "reason": "A bug cut it short"}
    )
    assert sentence(crashed).endswith("A bug cut it short.")
