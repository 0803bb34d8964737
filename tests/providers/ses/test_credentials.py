"""Where keys of AWS come from, and when they are had again."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import pytest
import trio
import trio.testing

from carillon.http_client.ports import NotAnswered, NotSent, Response
from carillon.messages.model import Document, JsonValue, Unavailable
from carillon.providers.config import BuildContext
from carillon.providers.ses.credentials import (
    AGAIN_SECONDS,
    EARLY_SECONDS,
    ContainerKeys,
    FileKeys,
    keys_in,
    token_in,
)
from carillon.providers.ses.provider import Ses, SesConfig
from carillon.providers.ses.signature import AwsKeys
from carillon.settings.errors import ConfigurationError
from carillon.settings.file.opening import read_start
from carillon.settings.providers import check_providers
from tests.neighbours.http import json_answer
from tests.providers.deliveries import ScriptedWire
from tests.providers.test_kafka2firebase import FakeHandovers
from tests.settings.examples import problems, settings, url_of

NOW: Final = datetime(2026, 11, 29, 12, tzinfo=UTC)
PROFILES: Final = """\
[default]
aws_access_key_id = AKIDDEFAULT
aws_secret_access_key = hunter2/+=

[shop]
aws_access_key_id=AKIDSHOP
aws_secret_access_key=hunter3
aws_session_token=temporary%1
"""
KEYS: Final = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "hunter2"}


def mail(**keys: JsonValue) -> Document:
    return {"activeChannels": ["email"], "sender": {"email": "shop@example.com"}, **keys}


@pytest.fixture
def profiles(tmp_path: Path) -> Path:
    file = tmp_path / "credentials"
    file.write_text(PROFILES)
    return file


def test_a_file_has_keys_by_profile(profiles: Path) -> None:
    assert keys_in(read_start, profiles, "default") == AwsKeys("AKIDDEFAULT", "hunter2/+=")
    assert keys_in(read_start, profiles, "shop") == AwsKeys("AKIDSHOP", "hunter3", "temporary%1")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "has no profile [default]"),
        ("[default]\n", "[default] has no aws_access_key_id"),
        ("[default]\naws_access_key_id=hunter2\n", "[default] has no aws_secret_access_key"),
        ("hunter2", "is no credentials file of AWS"),
        ("[default]\naws_access_key_id=hunter2\u00e9\n", "[default] has no aws_access_key_id"),
    ],
)
def test_a_file_without_keys_is_told_and_shows_none(content: str, why: str, tmp_path: Path) -> None:
    file = tmp_path / "credentials"
    file.write_text(content)
    with pytest.raises(ValueError, match=r".") as raised:
        keys_in(read_start, file, "default")
    assert why in str(raised.value)
    assert str(file) in str(raised.value)
    assert "hunter2" not in str(raised.value)


async def test_a_file_is_read_again_when_its_keys_are_refused(profiles: Path) -> None:
    source = FileKeys(read_start, profiles, "default")
    first = await source.get()
    await trio.Path(profiles).write_text(PROFILES.replace("AKIDDEFAULT", "AKIDNEXT"))
    assert await source.get() is first
    assert isinstance(first, AwsKeys)
    source.refuse(first)
    second = await source.get()
    assert isinstance(second, AwsKeys)
    assert second.access_key == "AKIDNEXT"
    source.refuse(first)  # by a call that was under way with the old ones
    assert await source.get() is second
    await trio.Path(profiles).unlink()
    source.refuse(second)
    assert await source.get() == Unavailable(f"ses: no credentials: {profiles}: {os.strerror(2)}")


def given(seconds: float, **changes: JsonValue) -> Response:
    """What a container's agent answers."""
    keys: Document = {
        "AccessKeyId": "ASIA1",
        "SecretAccessKey": "hunter2",
        "Token": "t",
        "Expiration": (NOW + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z"),
        **changes,
    }
    return Response(200, {}, json_answer(keys).body)


def container(*replies: Response | NotSent | NotAnswered) -> tuple[ContainerKeys, ScriptedWire]:
    wire = ScriptedWire([*replies])
    return ContainerKeys("http://agent/keys", lambda: "secret", wire, lambda: NOW), wire


async def test_keys_of_an_agent_are_kept_and_renewed_before_they_end(
    autojump_clock: trio.testing.MockClock,
) -> None:
    source, wire = container(given(3600), given(3600, AccessKeyId="ASIA2"))
    first = await source.get()
    await trio.sleep(3600 - EARLY_SECONDS - 1)
    assert await source.get() is first
    await trio.sleep(2)
    second = await source.get()
    assert isinstance(first, AwsKeys)
    assert isinstance(second, AwsKeys)
    assert (first.access_key, first.token, second.access_key) == ("ASIA1", "t", "ASIA2")
    assert len(wire.urls) == 2


async def test_many_workers_fetch_them_once(autojump_clock: trio.testing.MockClock) -> None:
    source, wire = container(given(3600))
    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(source.get)
    assert wire.urls == ["http://agent/keys"]


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (NotSent("no route"), "no route"),
        (NotAnswered("reset"), "reset"),
        (Response(404, {}, b""), "the container's agent answered 404"),
        (Response(200, {}, b"{}"), "the container's agent gave none"),
        (given(3600, SecretAccessKey=None), "the container's agent gave none"),
        (given(3600, Token="a\nb"), "the container's agent gave none"),
    ],
)
async def test_an_agent_that_gives_none_is_asked_again_after_a_while(
    reply: Response | NotSent | NotAnswered,
    error: str,
    autojump_clock: trio.testing.MockClock,
) -> None:
    source, wire = container(reply, given(3600))
    assert await source.get() == Unavailable(f"ses: no credentials: {error}")
    assert isinstance(await source.get(), Unavailable)
    assert len(wire.urls) == 1
    await trio.sleep(AGAIN_SECONDS)
    assert isinstance(await source.get(), AwsKeys)


@pytest.mark.parametrize("ends", ["soon", None, 7, "2026-11-29T12:00:01"])
async def test_an_end_that_cannot_be_read_or_is_near_makes_no_storm(
    ends: JsonValue, autojump_clock: trio.testing.MockClock
) -> None:
    source, wire = container(given(0, Expiration=ends))
    for _ in range(5):
        assert isinstance(await source.get(), AwsKeys)
    assert len(wire.urls) == 1


def test_the_token_of_an_agent_is_one_line_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("Bearer x\n")
    assert token_in(read_start, file) == "Bearer x"
    for content in ("", "\n", "a\nb", "\u00e9"):
        file.write_text(content)
        with pytest.raises(ValueError, match="holds no token"):
            token_in(read_start, file)


def test_keys_in_the_environment_make_it_carry_mail() -> None:
    found = settings(mail(), KEYS | {"AWS_REGION": "eu-south-1", "AWS_DEFAULT_REGION": "us-east-1"})
    config = found.providers["ses"].config
    assert isinstance(config, SesConfig)
    assert config.endpoint == "https://email.eu-south-1.amazonaws.com"
    assert config.addresses(read_start) == {"url": config.endpoint}
    assert url_of(found.providers["ses"]) == ""
    assert found.providers["ses"].on_unknown_outcome == "hold"
    assert "hunter2" not in repr(found)
    check_providers(found)


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_REGION": "eu-west-1"},
        {"AWS_REGION": "eu-west-1", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/x"},
        {"AWS_REGION": "eu-west-1", "AWS_SHARED_CREDENTIALS_FILE": __file__},
    ],
)
def test_what_aws_sets_for_every_program_makes_it_carry_nothing(environ: dict[str, str]) -> None:
    (found,) = problems(mail(), environ)
    assert found.startswith("channels.email.providers: nobody carries email")
    beside = settings(mail(), environ | {"MAIL_SERVICE_NAME": "mail"})
    assert [*beside.providers] == ["mail-service"]


def test_a_region_is_needed_and_must_be_one() -> None:
    (missing,) = problems(mail(), KEYS)
    (wrong,) = problems(mail(), KEYS | {"AWS_REGION": "https://hunter2"})
    assert missing.startswith("providers.ses.region: is missing; set it or AWS_DEFAULT_REGION or")
    assert wrong.startswith("AWS_REGION: ")
    assert "a region such as `eu-west-1`" in wrong


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ACCESS_KEY_ID", "PASS\u00e9"),
        ("AWS_SECRET_ACCESS_KEY", "PASS\u00e9"),
        ("AWS_SESSION_TOKEN", "PASS\u00e9"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "PASS\u00e9"),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://user:PASS@host"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "user:PASS@host"),
        ("AWS_REGION", "user:PASS@host"),
    ],
)
def test_what_no_variable_may_hold_is_told_and_not_shown(name: str, value: str) -> None:
    environ = KEYS | {"AWS_REGION": "eu-west-1", name: value}
    found = [one for one in problems(mail(), environ) if one.startswith(f"{name}: ")]
    assert len(found) == 1
    assert "PASS" not in found[0]


@pytest.mark.parametrize(
    ("section", "environ", "word"),
    [
        ({"credentials": {"accessKeyId": "AKID"}}, {}, "credentials.secretAccessKey: is missing"),
        ({"credentials": {"secretAccessKey": "x"}}, {}, "credentials.accessKeyId: is missing"),
        ({"credentials": {"profile": "x"}}, {}, "credentials: are missing; set AWS_ACCESS_KEY_ID"),
        ({"credentials": {"file": __file__}}, {}, f"credentials.file {__file__} is no credentials"),
    ],
)
def test_without_whole_keys_nothing_starts(
    section: Document, environ: dict[str, str], word: str
) -> None:
    named: Document = {"email": {"providers": ["ses"]}}
    keys: Document = {"ses": {"region": "eu-west-1", **section}}
    with pytest.raises(ConfigurationError) as raised:
        check_providers(settings(mail(channels=named, providers=keys), environ))
    assert word in str(raised.value)


def test_a_container_is_asked_where_its_platform_says(tmp_path: Path) -> None:
    named: Document = {"email": {"providers": ["ses"]}}
    environ = {
        "AWS_REGION": "cn-north-1",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2/credentials/1",
    }
    config = settings(mail(channels=named), environ).providers["ses"].config
    assert config.addresses(read_start) == {
        "url": "https://email.cn-north-1.amazonaws.com.cn",
        "credentials.containerUrl": "http://169.254.170.2/v2/credentials/1",
    }
    (tmp_path / "token").write_text("t")
    full = {
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://169.254.170.23/v1/credentials",
        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(tmp_path / "token"),
    }
    config = settings(mail(channels=named), environ | full).providers["ses"].config
    assert config.addresses(read_start)["credentials.containerUrl"].endswith("23/v1/credentials")
    built = config.build(BuildContext("ses", ScriptedWire([]), FakeHandovers(), read_start))
    assert isinstance(built, Ses)
