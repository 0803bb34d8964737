"""What a shell is told: what the running service knows, at once, and nothing when it is away."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import pytest
import trio
from click.shell_completion import BashComplete

from carillon.access.keys import draw_key
from carillon.cli import completion
from carillon.cli.main import main
from carillon.settings import key_record
from tests.cli.command_line import script
from tests.cli.operated import Operated, provider
from tests.neighbours.http import serve
from tests.running import running
from tests.scenarios.sagas.saga_desk import saga_desk
from tests.scenarios.sagas.test_sagas import SMS
from tests.scenarios.test_asynchronous import begin
from tests.scenarios.test_waiting import USERS


class Shell:
    """A shell in which somebody presses the key that completes."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._patch = patch
        for name in ("CARILLON_URL", "CARILLON_API_KEY", "API_KEYS_FILE"):
            patch.delenv(name, raising=False)

    def set(self, environ: Mapping[str, str]) -> None:
        for name, value in environ.items():
            self._patch.setenv(name, value)

    async def offers(self, *words: str) -> list[str]:
        """What may stand in place of the last word."""

        def ask() -> list[str]:
            shell = BashComplete(main, {}, "carillon", "_CARILLON_COMPLETE")
            found = shell.get_completions([*words[:-1]], words[-1])
            return [item.value for item in found]

        return await trio.to_thread.run_sync(ask)


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(monkeypatch)


async def test_commands_are_completed_without_a_service(shell: Shell) -> None:
    assert await shell.offers("prov") == ["providers"]
    assert await shell.offers("providers", "p") == ["pause"]
    assert await shell.offers("dispatches", "show", "--out") == ["--outcome"]
    assert await shell.offers("dispatches", "show", "--outcome", "in") == ["in-doubt"]


NAMES = ("sms-service", "sms-backup", "mail-service")


async def test_names_of_providers_are_those_of_the_service(shell: Shell) -> None:
    service = Operated(*map(provider, NAMES))
    async with serve(service.answer) as server:
        shell.set({"CARILLON_URL": server.url})
        for words in (
            ("providers", "show"),
            ("providers", "set"),
            ("providers", "pause"),
            ("providers", "audit"),
            ("providers", "watch", "mail-service"),
            ("dispatches", "show", "d", "--provider"),
            ("dispatches", "redrive", "d", "--provider"),
        ):
            assert await shell.offers(*words, "sms") == ["sms-service", "sms-backup"], words
        assert await shell.offers("providers", "show", "x") == []
        shell.set({"CARILLON_URL": "http://127.0.0.1:9"})
        assert await shell.offers("providers", "show", "--url", server.url, "m") == [NAMES[2]]


async def test_what_can_be_set_is_offered_with_what_holds_now(shell: Shell) -> None:
    async with serve(Operated(provider("p")).answer) as server:
        shell.set({"CARILLON_URL": server.url})
        assert await shell.offers("providers", "set", "p", "r") == [
            "rate=",
            "retry.attempts=",
            "retry.firstDelay=",
            "retry.maxDelay=",
        ]
        assert "retry=" not in await shell.offers("providers", "set", "p", "")
        for typed, offered in {
            "concurrency=": ["concurrency=20", "concurrency=default"],
            "rate=1": ["rate=100/1m"],
            "retry.attempts=": ["retry.attempts=8"],
            "paused=": ["paused=false", "paused=true", "paused=default"],
            "breaker=": ["breaker=closed", "breaker=default"],
            "quota=": ["quota=default"],
            "nonsense=": ["nonsense=default"],
        }.items():
            assert await shell.offers("providers", "set", "p", "weight=1", typed) == offered


async def test_ids_of_dispatches_are_those_of_the_service(shell: Shell, tmp_path: Path) -> None:
    async with running(tmp_path, users=USERS) as service:
        names = [(await begin(service, "")).headers["Dispatch-Id"] for _ in range(3)]
        shell.set(service.environ)
        for command in ("show", "watch", "cancel", "redrive"):
            assert sorted(await shell.offers("dispatches", command, "")) == sorted(names)
        assert await shell.offers("dispatches", "show", names[0][:12]) == [names[0]]
        assert await shell.offers("dispatches", "show", "x") == []


async def test_ids_of_events_are_those_of_the_service(shell: Shell, tmp_path: Path) -> None:
    async with saga_desk(tmp_path) as at:
        assert (await at.command("S-1", SMS)).status_code == 200
        (event,) = await at.events()
        shell.set(at.around.service.environ)
        for words in (("show",), ("redrive",), ("redrive", "another")):
            assert await shell.offers("events", *words, "") == [event["id"]]


async def test_ids_of_keys_are_those_of_the_file(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    records = [key_record(draw_key(name, ["read"])[1]) for name in ("shop", "desk")]
    file.write_text(json.dumps(records))
    assert await shell.offers("keys", "remove", "--file", str(file), "s") == ["shop"]
    shell.set({"API_KEYS_FILE": str(file)})
    assert await shell.offers("keys", "remove", "") == ["shop", "desk"]
    shell.set({"API_KEYS_FILE": str(tmp_path / "none")})
    assert await shell.offers("keys", "remove", "") == []


async def test_what_a_shell_would_take_for_something_else_is_not_offered(shell: Shell) -> None:
    service = Operated(*map(provider, ("a\x1b[2J", "a\nplain,evil", "a b", "a-good")))
    async with serve(service.answer) as server:
        shell.set({"CARILLON_URL": server.url})
        assert await shell.offers("providers", "show", "a") == ["a-good"]


async def test_a_service_that_lets_nobody_in_offers_nothing(shell: Shell, tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        shell.set({"CARILLON_URL": service.url, "OPERATOR_TOKEN_FILE": str(tmp_path / "none")})
        assert await shell.offers("providers", "show", "") == []


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9", "nonsense", "http://[", "", "http://x.invalid"]
)
async def test_a_service_that_is_away_offers_nothing(
    url: str, shell: Shell, capfd: pytest.CaptureFixture[str]
) -> None:
    shell.set({"CARILLON_URL": url or "http://127.0.0.1:9"})
    for words in (("providers", "show", ""), ("dispatches", "show", ""), ("events", "show", "")):
        assert await shell.offers(*words) == []
    assert await shell.offers("providers", "set", "p", "rate=") == ["rate=none", "rate=default"]
    assert capfd.readouterr() == ("", "")


async def test_a_service_that_says_nothing_is_not_waited_for(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(completion, "SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        shell.set({"CARILLON_URL": f"http://127.0.0.1:{listener.getsockname()[1]}"})
        began = monotonic()
        assert await shell.offers("providers", "show", "") == []
        assert monotonic() - began < 5.0  # for as long a question waits by itself


async def test_the_script_of_a_shell_is_answered(tmp_path: Path) -> None:
    async with serve(Operated(*map(provider, NAMES)).answer) as server:
        environ = {
            "_CARILLON_COMPLETE": "bash_complete",
            "COMP_WORDS": "carillon providers show sms-b",
            "COMP_CWORD": "3",
        }
        here = await script(tmp_path, environ={**environ, "CARILLON_URL": server.url})
        away = await script(tmp_path, environ={**environ, "CARILLON_URL": "http://127.0.0.1:9"})
    assert (here.stdout, here.stderr) == (b"plain,sms-backup\n", b"")
    assert (away.returncode, away.stdout.strip(), away.stderr) == (0, b"", b"")


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
async def test_each_shell_has_a_script(shell_name: str, tmp_path: Path) -> None:
    environ = {"_CARILLON_COMPLETE": f"{shell_name}_source"}
    result = await script(tmp_path, environ=environ)
    assert (result.returncode, b"_CARILLON_COMPLETE" in result.stdout) == (0, True)
