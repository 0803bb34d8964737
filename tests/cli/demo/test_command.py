from __future__ import annotations

import shlex
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import httpx
import pytest
import trio

from tests.cli.command_line import SCRIPT, Started, script, started
from tests.neighbours.smtp import listening

DEMO = [SCRIPT, "demo", "--port", "0"]
LAST_WORDS = "Ctrl-C ends it"


def left_behind(folder: Path) -> list[Path]:
    return [*folder.glob("carillon-demo-*")]


async def shell(line: str) -> subprocess.CompletedProcess[bytes]:
    with trio.fail_after(30):
        return await trio.run_process(
            ["/bin/sh", "-c", line], capture_stdout=True, capture_stderr=True, check=False
        )


async def lines(demo: Started) -> list[str]:
    return (await demo.says(LAST_WORDS)).splitlines()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on this machine")
async def test_the_printed_lines_work_and_the_messages_appear(tmp_path: Path) -> None:
    async with started(DEMO, tmp_path, TMPDIR=str(tmp_path)) as demo:
        welcome = await lines(demo)
        curls = [line for line in welcome if line.startswith("curl ")]
        sent = await shell(curls[0])
        assert sent.stdout == b'{"failures":[]}', sent.stderr
        await demo.says("Welcome, Anna D'Angelo!")
        await demo.says("skipped, for bruno: no-address")
        refused = await shell(curls[1])
        assert b'"userId":"unlucky"' in refused.stdout
        await demo.says("failed, for unlucky")
        [command] = [line for line in welcome if line.startswith(SCRIPT)]
        assert (await shell(command)).returncode == 0
        await demo.says("please remember: to breathe.")
        assert await demo.ends(signal.SIGINT) == 0
    assert "\x1b" not in demo.text
    assert (tmp_path / "stderr").read_text() == ""
    assert left_behind(tmp_path) == []


async def test_a_terminal_that_cannot_show_a_letter_stops_nothing(tmp_path: Path) -> None:
    async with started(DEMO, tmp_path, PYTHONIOENCODING="ascii") as demo:
        url = (await lines(demo))[0].split()[3].rstrip(",")
        body = {"channels": ["sms"], "recipients": ["chloe"], "templateId": "welcome"}
        async with httpx.AsyncClient() as client:
            assert (await client.post(f"{url}/send", json=body)).json() == {"failures": []}
        await demo.says("Chlo\\xeb")
        assert await demo.ends(signal.SIGINT) == 0


async def test_the_other_addresses_answer(tmp_path: Path) -> None:
    async with started(DEMO, tmp_path, TMPDIR=str(tmp_path)) as demo:
        told = [line.split() for line in await lines(demo)]
        urls = {words[0]: words[1] for words in told if len(words) == 2 and "http" in words[1]}
        assert set(urls) == {"Documentation", "Ready", "Metrics"}
        async with httpx.AsyncClient() as client:
            for url in urls.values():
                assert (await client.get(url)).status_code == 200
        assert await demo.ends(signal.SIGTERM) == 0


async def test_a_folder_that_is_given_is_kept_and_used_again(tmp_path: Path) -> None:
    for _ in range(2):
        async with started([*DEMO, "--folder", "here/deep"], tmp_path) as demo:
            await lines(demo)
            assert await demo.ends(signal.SIGINT) == 0
    listed = await script(tmp_path, "users", "list", "--store", "here/deep/carillon.db")
    assert b"Anna D'Angelo" in listed.stdout


async def test_a_taken_port_is_told_of(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        ran = await script(tmp_path, "demo", "--port", str(port))
    assert ran.returncode == 1
    told = f"carillon: Cannot listen on 127.0.0.1:{port}: it is in use".encode()
    assert ran.stderr.startswith(told)
    assert b"--port" in ran.stderr


async def test_a_folder_that_cannot_be_made_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = await script(tmp_path, "demo", "--folder", "file/below")
    assert (ran.returncode, ran.stderr.count(b"\n")) == (1, 1)
    assert b"cannot be made" in ran.stderr


async def test_it_ends_when_nobody_reads_it_any_more(tmp_path: Path) -> None:
    async with started(DEMO, tmp_path) as demo:
        url = (await lines(demo))[0].split()[3].rstrip(",")
        assert demo.process.stdout is not None
        await demo.process.stdout.aclose()
        body = {"channels": ["sms"], "recipients": ["anna"], "templateId": "welcome"}
        async with httpx.AsyncClient() as client:
            assert (await client.post(f"{url}/send", json=body)).json() == {"failures": []}
        with trio.fail_after(30):
            assert await demo.process.wait() == 0
    assert (tmp_path / "stderr").read_text() == ""


async def test_mails_go_to_a_sink_and_all_else_stays_here(tmp_path: Path) -> None:
    async with listening() as sink:
        command = [*DEMO, "--smtp", sink.url]
        async with started(command, tmp_path) as demo:
            welcome = await lines(demo)
            assert f"Emails go to {sink.url}; nothing else is sent" in demo.text
            [curl] = [line for line in welcome if "customers" in line and line.startswith("curl ")]
            assert (await shell(curl)).stdout == b'{"failures":[]}'
            await demo.says("email  sent over smtp, for ")
            await demo.says("sms    to ")
            assert await demo.ends(signal.SIGINT) == 0
    assert sink.mails
    assert b"From: Carillon <demo@example.com>" in sink.mails[0].message


async def test_an_account_is_taken_from_the_environment_only(tmp_path: Path) -> None:
    url = "smtp://ada:PASS@127.0.0.1:1"
    for words in (["--smtp", url], ["--smtp"], ["--smtp", "x.it"]):
        refused = await shell(shlex.join([*DEMO, *words]))
        assert refused.returncode == 2
        assert b"SMTP_URL" in refused.stderr or b"smtp+plain://host:25" in refused.stderr
        assert b"PASS" not in refused.stderr + refused.stdout
    async with started([*DEMO, "--smtp"], tmp_path, SMTP_URL=url) as demo:
        await lines(demo)
        assert "Emails go to smtp://127.0.0.1:1;" in demo.text
        assert "PASS" not in demo.text
        assert await demo.ends(signal.SIGINT) == 0
