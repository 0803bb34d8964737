"""The section of an SMTP server: what it needs, what it is refused for, what of it is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carillon.messages.model import Document
from carillon.providers.config import leaves
from carillon.settings import ConfigurationError, from_document
from carillon.settings.providers import check_providers
from tests.cli.command_line import invoke

MAIL: Document = {"activeChannels": ["email"], "sender": {"email": "Shop <shop@example.com>"}}
URL = "smtp://ada:PASS@x.it"


def section(**keys: object) -> Document:
    return {**MAIL, "providers": {"smtp": keys}}  # type: ignore[dict-item]


def problems(document: Document, **environ: str) -> str:
    with pytest.raises(ConfigurationError) as refused:
        check_providers(from_document(document, environ))
    assert "PASS" not in str(refused.value)
    return str(refused.value)


def test_the_variable_alone_makes_it_active() -> None:
    settings = from_document(MAIL, {"SMTP_URL": URL})
    assert [one.name for one in settings.channels["email"].providers] == ["smtp"]
    check_providers(settings)


def test_a_mail_service_comes_first() -> None:
    both = {"SMTP_URL": URL, "MAIL_SERVICE_NAME": "mail"}
    names = [one.name for one in from_document(MAIL, both).channels["email"].providers]
    assert names == ["mail-service", "smtp"]


def test_without_an_address_it_is_not_used() -> None:
    document: Document = {**section(timeout="5s"), "channels": {"email": {"providers": ["smtp"]}}}
    assert "providers.smtp.url: is missing; set it or SMTP_URL" in problems(document)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"url": "https://ada:PASS@x.it"}, "providers.smtp.url: "),
        ({"url": "smtp://x.it", "credentials": {"user": "a"}}, "credentials.password: is missing"),
        (
            {"url": "smtp://x.it", "credentials": {"password": "PASS"}},
            "credentials.user: is missing",
        ),
        ({"url": URL, "credentials": {"password": "PASS\n"}}, "credentials.password: "),
        ({"url": URL, "options": {"listUnsubscribe": "x.it"}}, "options.listUnsubscribe: "),
        ({"url": URL, "options": {"heloName": "a b"}}, "options.heloName: "),
        ({"url": URL, "options": {"caFile": "/nowhere"}}, "options.caFile"),
        ({"url": URL, "credentials": {"tokenFile": "/nowhere"}}, "credentials.tokenFile"),
    ],
)
def test_what_is_wrong_names_its_key(keys: Document, problem: str) -> None:
    assert problem in problems(section(**keys))


def test_files_are_looked_at(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    said = problems(section(url=URL, options={"caFile": str(empty)}))
    assert f"providers.smtp.options.caFile {empty}: holds no certificates" in said
    said = problems(section(url=URL, credentials={"tokenFile": str(empty)}))
    assert f"providers.smtp.credentials.tokenFile {empty}: holds no access token" in said
    both = {"tokenFile": str(empty), "password": "PASS"}
    assert "with password or tokenFile, not both" in problems(section(url=URL, credentials=both))
    noone = problems(section(url="smtp://x.it", credentials={"tokenFile": str(empty)}))
    assert "credentials.user: is missing; credentials.tokenFile needs it" in noone


def test_its_secrets_are_known_as_such() -> None:
    def secrets(url: str, **keys: object) -> list[str]:
        settings = from_document(section(url=url, **keys), {})
        (provider,) = settings.providers.values()
        assert "PASS" not in repr(provider.config)
        return [".".join(map(str, one.place)) for one in leaves(provider.config) if one.is_secret]

    assert secrets("smtp://x.it") == []
    assert secrets(URL) == ["url"]
    assert secrets("smtp://x.it", credentials={"user": "a", "password": "PASS"}) == [
        "credentials.password"
    ]


def test_a_password_in_the_clear_is_warned_of(tmp_path: Path) -> None:
    file = tmp_path / "configuration.json"
    file.write_text(json.dumps(MAIL))
    known = {"CONFIGURATION_PATH": str(file), "STORE_URL": f"sqlite:///{tmp_path}/carillon.db"}
    plain = invoke("config", "check", SMTP_URL="smtp+plain://ada:PASS@x.it", **known)
    assert "smtp+plain sends the account's password in the clear" in plain.output
    secure = invoke("config", "check", SMTP_URL=URL, **known)
    assert "in the clear" not in secure.output
    assert "email goes over smtp" in secure.output
    assert "PASS" not in plain.output + secure.output
