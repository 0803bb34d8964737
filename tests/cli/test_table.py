"""Tables: one style, and ids that can be copied however narrow the terminal is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.command_line import clean_environment
from tests.cli.providers.test_watch import terminal, until

ID = "6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11"
ROW = (ID, "done", "email, sms, push, voice", "1,200 sent, 3 failed", "an error " * 30)
PRINTED = (
    "from carillon.cli.table import print_table; "
    f"print_table(('dispatch', 'state', 'channels', 'deliveries', 'error'), [{ROW!r}], 120,"
    " whole=('dispatch',)); print('end')"
)


async def shown(folder: Path, columns: int) -> str:
    environ = {"TERM": "dumb", "COLUMNS": str(columns), "LINES": "40"}
    with terminal() as (ours, theirs):
        command = subprocess.Popen(  # noqa: ASYNC220 - it only starts
            [sys.executable, "-c", PRINTED],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**clean_environment(folder, environ), **environ, "PYTHONPATH": str(Path.cwd())},
        )
        try:
            return await until(ours, "end")
        finally:
            command.kill()
            command.wait()


@pytest.mark.parametrize("columns", [200, 100, 80, 40, 20])
async def test_an_id_is_never_cut_nor_broken(columns: int, tmp_path: Path) -> None:
    text = await shown(tmp_path, columns)
    assert ID in text
    widest = max(len(line.rstrip()) for line in text.splitlines())
    assert widest <= max(columns, len(ID) + 5 * 9)


async def test_what_is_no_id_is_broken_and_not_cut(tmp_path: Path) -> None:
    text = "".join((await shown(tmp_path, 80)).split())
    assert "email" in text
    assert "voice" in text


def test_where_the_output_goes_elsewhere_ids_are_whole_and_texts_are_short(
    tmp_path: Path,
) -> None:
    text = subprocess.run(
        [sys.executable, "-c", PRINTED.replace("120,", "12,")],
        capture_output=True,
        text=True,
        check=True,
        env={**clean_environment(tmp_path, {}), "PYTHONPATH": str(Path.cwd())},
    ).stdout
    header, row, _ = text.splitlines()
    assert header.split() == ["dispatch", "state", "channels", "deliveries", "error"]
    assert row.startswith(f"{ID}  done   email, sms,…  1,200 sent,…  an error an…")
