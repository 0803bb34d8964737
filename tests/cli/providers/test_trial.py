"""`carillon providers test`: a message over the whole way of a running service."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from carillon.messages.model import Document, JsonValue
from tests.cli.operated import documents, run
from tests.neighbours.smtp import SmtpScript, listening
from tests.running import running, sandbox_configuration

PROVIDERS: Document = {
    "email-sandbox": {"type": "sandbox", "retry": {"attempts": 2, "firstDelay": "400ms"}},
    "sms-sandbox": {"type": "sandbox"},
    "push-sandbox": {"type": "sandbox"},
    "voice-sandbox": {"type": "sandbox"},
    "spare": {"type": "sandbox"},
}


def configuration(**channels: JsonValue) -> Document:
    return sandbox_configuration(providers=PROVIDERS, **channels)


def names(lines: Sequence[str]) -> list[str]:
    return [line.partition(":")[0] for line in lines]


async def test_each_step_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, configuration()) as service:
        words = ["providers", "test", "email-sandbox", "--to", "ada@example.com"]
        shown = await run(service, *words)
        told = await run(service, *words, "--json")
        message, _ = service.sent
    assert shown.exit_code == told.exit_code == 0
    lines = shown.stdout.splitlines()
    assert names(lines)[:2] == ["found", "accepted"]
    assert lines[0] == "found: email-sandbox (sandbox) carries email and is running"
    assert lines[-1].startswith("ended: sent over email-sandbox, 1 attempt, there called sandbox-")
    last = documents(told)[-1]
    assert isinstance(last, dict)
    assert (last["step"], last["ok"], last["outcome"]) == ("ended", True, "sent")
    assert message.address == "ada@example.com"


async def test_what_goes_wrong_is_told_with_its_cause(tmp_path: Path) -> None:
    async with running(tmp_path, configuration()) as service:
        words = ["providers", "test", "email-sandbox", "--to"]
        refused = await run(service, *words, "ada+refuse@example.com")
        failing = await run(service, *words, "ada+fail@example.com")
    assert (refused.exit_code, failing.exit_code) == (1, 1)
    assert "failed over email-sandbox, 1 attempt: sandbox answered 400" in refused.stdout
    assert "failed over email-sandbox, 2 attempts: sandbox answered 503" in failing.stdout


async def test_what_was_tried_is_told_while_it_is_tried_again(tmp_path: Path) -> None:
    document = configuration()
    document["providers"] = {**PROVIDERS, "email-sandbox": {"type": "sandbox"}}
    async with running(tmp_path, document) as service:
        words = ["providers", "test", "email-sandbox", "--to", "ada+fail@example.com"]
        shown = await run(service, *words, "--wait", "4")
    assert shown.exit_code == 1
    assert "tried: sandbox answered 503: told to fail; it is tried again" in shown.stdout
    assert names(shown.stdout.splitlines())[-1] == "ended"


async def test_why_it_waits_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, configuration()) as service:
        await run(service, "providers", "pause", "sms-sandbox")
        words = ["providers", "test", "sms-sandbox", "--to", "+39 333 1234567", "--wait", "1"]
        shown = await run(service, *words)
    assert shown.exit_code == 1
    assert "found: sms-sandbox (sandbox) carries sms and is paused" in shown.stdout
    assert "waiting: paused" in shown.stdout
    assert "ended: " in shown.stdout


async def test_another_provider_that_took_it_is_told(tmp_path: Path) -> None:
    channels: Document = {
        **{name: {"providers": [f"{name}-sandbox"]} for name in ("sms", "push", "voice")},
        "email": {"providers": ["email-sandbox", "spare"]},
    }
    async with running(tmp_path, configuration(channels=channels)) as service:
        shown = await run(service, "providers", "test", "spare", "--to", "ada@example.com")
    assert shown.exit_code == 1
    assert "sent over email-sandbox, 1 attempt" in shown.stdout
    assert "not over spare" in shown.stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["nobody", "--to", "a@x.it"], "No such provider is running"),
        (["email-sandbox", "--to", "+39 333 1234567"], "which carries email"),
        (["sms-sandbox", "--to", "a@x.it"], "which carries sms"),
        (["sms-sandbox", "--channel", "email", "--to", "a@x.it"], "it carries sms"),
    ],
)
async def test_what_cannot_be_tried_is_refused(
    tmp_path: Path, words: list[str], problem: str
) -> None:
    async with running(tmp_path, configuration()) as service:
        refused = await run(service, "providers", "test", *words)
    assert refused.exit_code == 2
    assert problem in refused.stderr


async def test_where_several_channels_fit_one_must_be_named(tmp_path: Path) -> None:
    channels: Document = {
        name: {"providers": ["spare"]} for name in ("email", "sms", "push", "voice")
    }
    async with running(tmp_path, configuration(channels=channels)) as service:
        words = ["providers", "test", "spare", "--to", "+39 333 1234567"]
        refused = await run(service, *words)
        named = await run(service, *words, "--channel", "voice")
    assert refused.exit_code == 2
    assert "spare carries sms and voice: say which with --channel" in refused.stderr
    assert named.exit_code == 0


async def test_a_real_mail_arrives(tmp_path: Path) -> None:
    async with listening(SmtpScript()) as sink:
        document: Document = {
            "activeChannels": ["email"],
            "sender": {"email": "Shop <shop@example.com>"},
        }
        async with running(tmp_path, document, environ={"SMTP_URL": sink.url}) as service:
            shown = await run(service, "providers", "test", "smtp", "--to", "ada@example.com")
        assert shown.exit_code == 0, shown.stdout
        assert "ended: sent over smtp, 1 attempt, there called 4F7A9" in shown.stdout
        (mail,) = sink.mails
        assert mail.recipients == ["ada@example.com"]
        assert b"This message tries the provider smtp of Carillon." in mail.message
