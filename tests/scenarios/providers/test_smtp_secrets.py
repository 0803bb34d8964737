"""The account of an SMTP server appears nowhere, though the server itself repeats it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import pytest
import trio

from carillon.messages.model import Document
from carillon.providers.smtp.provider import Smtp
from tests.cli.command_line import invoke
from tests.cli.operated import run
from tests.neighbours.smtp import SmtpScript, listening
from tests.process import process
from tests.running import Running, running

USER, PASSWORD, TOKEN = "ada.lovelace", "PA55-w0rd", "ya29.T0KEN"
MAIL: Document = {"activeChannels": ["email"], "sender": {"email": "shop@example.com"}}
ROUTES = ("/providers", "/providers/smtp", "/-/check-up", "/audit", "/supervisor", "/-/metrics")


def in_base64(text: str) -> str:
    return b64encode(text.encode()).decode()


SHOWN = {
    "PLAIN": (USER, PASSWORD, in_base64(f"\0{USER}\0{PASSWORD}")),
    "LOGIN": (USER, PASSWORD, in_base64(USER), in_base64(PASSWORD)),
    "XOAUTH2": (USER, TOKEN, in_base64(f"user={USER}\x01auth=Bearer {TOKEN}\x01\x01")),
}
"""What a server is shown, by the way of showing it."""


def hidden(told: str, secrets: Sequence[str] = (USER, PASSWORD, TOKEN)) -> None:
    assert [secret for secret in secrets if secret in told] == []


async def everything(service: Running) -> str:
    """What the service answers, logs and prints after a mail that was refused."""
    answer = await service.send(to=[{"emailAddress": "a@x.it"}], recipients=None)
    deliveries = f"/dispatches/{answer.headers['Dispatch-Id']}/deliveries"
    told = [answer.text]
    told += [(await service.client.get(path)).text for path in (deliveries, *ROUTES)]
    for words in (
        ["providers", "test", "smtp", "--to", "a@x.it", "--wait", "1"],
        ["providers", "show", "smtp"],
    ):
        told.append((await run(service, *words)).output)
    return "\n".join([*told, service.log.getvalue()])


def account(how: str, folder: Path) -> tuple[str, Document]:
    """A way to name an account: what the URL has of it, and the section."""
    if how == "PLAIN":
        return f"{USER}:{PASSWORD}@", {}
    if how == "LOGIN":
        return "", {"credentials": {"user": USER, "password": PASSWORD}}
    file = folder / "token"
    file.write_text(TOKEN)
    return f"{USER}@", {"credentials": {"tokenFile": str(file)}}


@pytest.mark.parametrize("how", SHOWN)
@pytest.mark.parametrize("word", ["AUTH", "MAIL", "."])
async def test_it_is_in_no_answer_and_no_log(tmp_path: Path, how: str, word: str) -> None:
    in_url, section = account(how, tmp_path)
    code = "535 5.7.8" if word == "AUTH" else "550 5.7.1"
    answers = {
        word: f"{code} {' '.join(SHOWN[how])}",
        "EHLO": f"250-x\r\n250 AUTH {how}",
    }
    known = {USER: TOKEN if how == "XOAUTH2" else PASSWORD}
    async with listening(SmtpScript(answers=answers, accounts=known)) as server:
        url = server.url.replace("//", f"//{in_url}")
        limits: Document = {"retry": {"attempts": 1}}
        document: Document = {**MAIL, "providers": {"smtp": {"url": url, **section, **limits}}}
        async with running(tmp_path, document) as service:
            told = await everything(service)
    assert f"smtp answered {code}" in told
    hidden(told, SHOWN[how])


async def test_it_is_in_no_report_of_a_crash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(self: Smtp, *_: object) -> None:
        raise RuntimeError(f"{self._account} {self._server}")

    monkeypatch.setattr(Smtp, "_mail", breaks)
    environ = {"SMTP_URL": f"smtp+plain://{USER}:{PASSWORD}@127.0.0.1:1"}
    async with running(tmp_path, MAIL, environ=environ) as service:
        told = await everything(service)
    assert "crashed" in told
    hidden(told)


async def test_it_is_in_no_title(tmp_path: Path) -> None:
    url = f"smtp+plain://{USER}:{PASSWORD}@127.0.0.1:1"
    async with process(tmp_path, MAIL, SMTP_URL=url) as (it, _):
        for name in ("cmdline", "comm"):
            hidden(await trio.Path(f"/proc/{it.pid}/{name}").read_text("utf-8", "replace"))


def test_it_is_in_no_check(tmp_path: Path) -> None:
    url = f"smtp+plain://{USER}:{PASSWORD}@127.0.0.1:1"
    file = tmp_path / "checked.json"
    file.write_text(json.dumps({**MAIL, "providers": {"smtp": {"url": url}}}))
    known = {"CONFIGURATION_PATH": str(file), "STORE_URL": f"sqlite:///{tmp_path}/c.db"}
    for words, said in (
        (["config", "check"], "email goes over smtp"),
        (["config", "check", "--connect"], "smtp: connection refused"),
    ):
        result = invoke(*words, **known)
        assert said in result.output
        assert "CONFIGURATION_PATH" in result.output  # others may read what holds a password
        hidden(result.output)
