from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from carillon.messages.model import Document, JsonValue
from tests.cli.command_line import SCRIPT, started
from tests.cli.operated import documents, run
from tests.running import running, sandbox_configuration

USERS: list[Document] = [
    {"_id": f"u{number}", "emailAddress": f"u{number}@example.com", "clusters": ["all"]}
    for number in range(3)
]
DELAYS = "firstDelay 500ms, maxDelay 1m"
WATCH = [SCRIPT, "providers", "watch", "email-sandbox", "--interval", "0.1"]


def rated() -> Document:
    providers: Document = {
        f"{name}-sandbox": {"type": "sandbox", "rate": [{"limit": 100, "per": "1m"}]}
        for name in ("email", "sms", "push", "voice")
    }
    return sandbox_configuration(providers=providers)


async def test_a_setting_holds_until_it_is_reset(tmp_path: Path) -> None:
    async with running(tmp_path, rated()) as service:
        words = ["providers", "set", "email-sandbox", "rate=2/1h", "retry.attempts=3"]
        changed = await run(service, *words)
        listed = await run(service, "providers", "list", "--json")
        reset = await run(service, "providers", "reset", "email-sandbox")
        audit = await run(service, "providers", "audit", "email-sandbox", "--json")
    assert changed.stdout.splitlines() == [
        "email-sandbox:",
        "  rate: 100/1m (file) -> 2/1h (override)",
        f"  retry: attempts 8, {DELAYS} (default) -> attempts 3, {DELAYS} (override)",
    ]
    assert len(documents(listed)) == 4
    assert "  rate: 2/1h (override) -> 100/1m (file)" in reset.stdout.splitlines()
    entries = [entry for entry in documents(audit) if isinstance(entry, dict)]
    assert [(entry["action"], entry["who"]) for entry in entries] == [
        ("reset", "loopback"),
        ("change", "loopback"),
    ]


async def test_a_paused_provider_sends_when_it_is_resumed(tmp_path: Path) -> None:
    async with running(tmp_path, rated(), users=USERS) as service:
        paused = await run(service, "providers", "pause", "email-sandbox")
        answer = await service.client.post(
            "/send",
            json={
                "channels": ["email"],
                "clusters": ["all"],
                "messageTitle": "Title",
                "messageContent": "Content",
            },
            headers={"Prefer": "wait=1"},
        )
        assert answer.headers["Deliveries-Pending"] == "3"
        shown = await run(service, "providers", "show", "email-sandbox")
        listed = await run(service, "providers", "list")
        resumed = await run(service, "providers", "resume", "email-sandbox")
        await service.until(lambda: len(service.sent) == 3)
    assert "  state: running -> paused" in paused.stdout.splitlines()
    assert "3 deliveries, the oldest for " in shown.stdout
    assert "because of paused" in shown.stdout
    row = next(line for line in listed.stdout.splitlines() if line.startswith("email-sandbox"))
    assert row.split()[2:5] == ["paused", "0/20", "3"]
    assert "  state: paused -> running" in resumed.stdout.splitlines()


async def test_every_setting_can_be_set_as_it_is_shown(tmp_path: Path) -> None:
    words = [
        *["concurrency=7", "rate=100/1m,10/1s", "quota=1000@06:00/Europe/Rome", "timeout=1m"],
        *["retry.maxDelay=2m", "breaker.cooldown=1m", "onUnknownOutcome=retry", "weight=3"],
        *["paused=true", "draining=true"],
    ]
    async with running(tmp_path) as service:
        result = await run(service, "providers", "set", "sms-sandbox", *words)
        removed = await run(service, "providers", "set", "sms-sandbox", "quota=default")
        closed = await run(service, "providers", "close-breaker", "sms-sandbox")
    assert result.stdout.count("(override)") == len(words)
    for word in words:
        key, _, value = word.partition("=")
        assert f"-> {value} (override)" in result.stdout or "." in key
    assert removed.stdout.splitlines()[1:] == [
        "  quota: 1000@06:00/Europe/Rome (override) -> none (default)"
    ]
    assert closed.exit_code == 0


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["set", "sms-sandbox", "concurrency=0"], "400: concurrency: 0 is not allowed"),
        (["set", "sms-sandbox", "timeout=soon"], '400: timeout: "soon" is not allowed'),
        (["set", "sms-sandbox", "--json-patch", '{"url": "x"}'], "400: url: unknown key"),
        (["pause", "fax"], "404: No such provider is running; known here: email-sandbox"),
    ],
)
async def test_the_service_says_what_is_wrong(
    tmp_path: Path, words: list[str], reason: str
) -> None:
    async with running(tmp_path) as service:
        result = await run(service, "providers", *words)
    assert result.exit_code == 2
    assert f"carillon: The service answered {reason}" in result.stderr


async def test_a_watch_sees_what_another_terminal_sets(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        async with started(WATCH, tmp_path, CARILLON_URL=service.url) as watching:
            await watching.says('"state": "running"')
            await run(service, "providers", "drain", "email-sandbox")
            await watching.says('"state": "draining"')
            assert await watching.ends(signal.SIGINT) == 0
    last: JsonValue = json.loads(watching.text.splitlines()[-1])
    assert isinstance(last, dict)
    assert last["configuration"]


async def test_channels_are_shown_and_revived(tmp_path: Path) -> None:
    async with running(tmp_path) as service:
        shown = await run(service, "supervisor", "show", "--workers")
        revived = await run(service, "supervisor", "revive", "push")
    rows = [line.split() for line in shown.stdout.splitlines()]
    assert [row[:2] for row in rows[1:5]] == [
        [name, "running"] for name in ("email", "sms", "push", "voice")
    ]
    assert rows[1][-2:] == ["20", "idle"]
    assert rows[5:] == [["No", "worker", "holds", "a", "delivery."]]
    assert revived.stdout == "push is running.\n"
