"""Sections of the type `http`: what is wrong is named by its key, and no secret is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from carillon.handlebars import Engine
from carillon.messages.model import Document, JsonValue
from carillon.providers.config import BuildContext, leaves
from carillon.providers.http.config import HttpConfig
from carillon.settings import ConfigurationError, from_document
from carillon.settings.exposure import readable_by_others
from carillon.settings.file.opening import read_start
from carillon.settings.neighbours import addresses
from carillon.settings.providers import check_providers
from carillon.tuning.reload import at_next_start
from tests.providers.deliveries import ScriptedWire
from tests.providers.http.sections import BODY, KEY, NAME, SECRETS, built, configuration, loaded
from tests.providers.test_kafka2firebase import FakeHandovers

WHOLE: Final[Document] = {
    "url": "https://h.example/send?key={{secret.KEY}}",
    "headers": {"Authorization": "Bearer {{secret.KEY}}"},
    "json": BODY,
    "secrets": ["KEY"],
}


def wrong(**keys: JsonValue) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        from_document(configuration({**WHOLE, **keys}), SECRETS)
    assert KEY not in str(raised.value)
    return [one.removeprefix(f"providers.{NAME}.") for one in raised.value.problems]


NO_VARIABLE: Final = "is no variable; known here: to, sender, text, title, html, deliveryId"
NO_HOST: Final = "url: must be a URL whose host and port are no template; tags stand behind them"
NO_FIELD: Final = "an object is not allowed; it must be a JSON Pointer, or an object with one of"
NO_RULE: Final = "rules[0]: an object is not allowed; it must be an object with"
NO_BODY: Final[Document] = {"json": None}
FAULTS: Final[list[tuple[Document, str]]] = [
    ({"json": {"body": {"to": "{{t}}"}}}, f'json.body.to: "t" {NO_VARIABLE}'),
    ({"json": ["a", {"b": "{{#if}}"}]}, "json[1].b: column 1: `{{#if}}` is never closed"),
    ({"json": "a\n{{nope to}}"}, "json: line 2, column 3: there is no helper `nope`"),
    ({"json": "{{secret.B}}"}, 'json: secret.B: "B" is not listed in secrets'),
    ({"json": "{{#each secret}}{{/each}}"}, "json: a secret must be named, as in secret.NAME"),
    ({**NO_BODY, "text": "{{user}"}, "text: column 7: `}` can't stand in a tag"),
    ({**NO_BODY, "form": {"a": ["x", "{{b}}"]}}, f'form.a[1]: "b" {NO_VARIABLE}'),
    ({"form": {}}, "form: stands beside json; a request has one body"),
    ({"form": {"a": 1}}, "form: the value (not shown) is not allowed; it must be an object whose"),
    ({"text": ""}, "text: stands beside json; a request has one body"),
    ({"method": "GET"}, "method: a GET has no body, but there is json"),
    ({"method": "TRACE"}, 'method: "TRACE" is not allowed; it must be one of POST, PUT'),
    ({"url": "https://{{to}}/x"}, NO_HOST),
    ({"url": "https://h{{to}}/x"}, NO_HOST),
    ({"url": "https://h.example:{{to}}/"}, "url: must be an http:// or https:// URL"),
    ({"url": "{{secret.KEY}}/x"}, "url: must be an http:// or https:// URL"),
    ({"url": "ftp://h/x"}, "url: must be an http:// or https:// URL"),
    ({"url": "https://h/a/../b"}, 'url: must be a URL without "." and ".." in its path'),
    ({"url": "https://u:p@h/a"}, "url: must be an http:// or https:// URL"),
    ({"url": "https://h/a#b"}, "url: must be an http:// or https:// URL"),
    ({"url": "https://h/{{#if to}}a{{/if}}"}, "url: column 11: only plain tags such as {{to}}"),
    ({"headers": {"a b": "x"}}, "headers.a b: is no name of a header"),
    ({"headers": {"Content-length": "1"}}, "headers.Content-length: is written by the HTTP client"),
    ({"headers": {"X": "1", "x": "2"}}, "headers.x: stands there twice; once is allowed"),
    ({"headers": {"X": 12345}}, "headers.X: the value (not shown) is not allowed; it must be a t"),
    ({"auth": {"user": "a"}}, "auth: stands beside headers.Authorization"),
    ({"headers": {}, "auth": {"user": "a:b"}}, "auth.user: may hold no colon"),
    ({"headers": {}, "auth": {"user": "{{x}}"}}, f'auth.user: "x" {NO_VARIABLE}'),
    ({"secrets": ["KEY", "KEY"]}, 'secrets[1]: "KEY" stands there twice; once is allowed'),
    ({"secrets": ["KEY", "NONE"]}, "secrets[1]: the environment variable NONE is not set"),
    (
        {"secrets": ["KEY", {"name": "A", "variable": "NONE"}]},
        "secrets[1]: the environment variable NONE is not set",
    ),
    ({"secrets": ["KEY", "a-b"]}, 'secrets[1].name: "a-b" is not allowed'),
    (
        {"secrets": ["KEY", {"name": "A", "variable": "B", "file": "c"}]},
        "secrets[1]: an object is not allowed; it must be an object with one of variable and file",
    ),
    ({"rules": [{"means": "refused"}]}, f"{NO_RULE} statuses, a pointer, or both"),
    ({"rules": [{"statuses": [200], "values": [1], "means": "refused"}]}, f"{NO_RULE} a pointer"),
    ({"rules": [{"statuses": [200], "wait": "/a", "means": "refused"}]}, f"{NO_RULE} wait only"),
    ({"rules": [{"statuses": [100], "means": "refused"}]}, "rules[0].statuses: a list is not"),
    ({"rules": [{"statuses": ["1xx"], "means": "refused"}]}, "rules[0].statuses: a list is not"),
    ({"rules": [{"pointer": "a", "means": "refused"}]}, 'rules[0].pointer: "a" is not allowed'),
    ({"rules": [{"pointer": "/~2", "means": "refused"}]}, 'rules[0].pointer: "/~2" is not'),
    (
        {"rules": [{"pointer": "/a", "values": [{}], "means": "refused"}]},
        "rules[0].values: a list is not allowed; it must be a list of texts, numbers",
    ),
    (
        {"rules": [{"pointer": "/a", "means": "bounced"}]},
        'rules[0].means: "bounced" is not allowed; it must be one of accepted, refused',
    ),
    ({"rules": [{"pointer": "/a"}]}, "rules[0].means: is missing; it must be one of accepted"),
    ({"accepted": {"messageId": {}}}, f"accepted.messageId: {NO_FIELD}"),
    ({"channels": ["fax"]}, 'channels[0]: "fax" is not allowed'),
    ({"remembers": "24h"}, "remembers: unknown key"),
    ({"find": {}}, "find: unknown key"),
    ({"receipts": "reference"}, "receipts: unknown key"),
]


@pytest.mark.parametrize(("keys", "told"), FAULTS)
def test_what_is_wrong_is_named_by_its_key(keys: Document, told: str) -> None:
    assert any(one.startswith(told) for one in wrong(**keys))


def test_every_fault_is_named_at_once_also_of_a_section_that_nobody_uses() -> None:
    document = configuration(WHOLE)
    providers = document["providers"]
    assert isinstance(providers, dict)
    providers["spare"] = {
        "type": "http",
        "channels": ["sms"],
        "url": "https://h/{{a}}",
        "json": {"x": "{{b}}", "y": "{{#c}}"},
        "headers": {"H": "{{d}}"},
    }
    with pytest.raises(ConfigurationError) as raised:
        from_document(document, SECRETS)
    places = [one.partition(": ")[0] for one in raised.value.problems]
    assert places == [f"providers.spare.{one}" for one in ("url", "json.x", "json.y", "headers.H")]


def test_templates_are_held_to_the_configured_limits() -> None:
    document: Document = {**configuration(WHOLE), "templates": {"templateBytes": 5}}
    with pytest.raises(ConfigurationError, match=r"json\.text: column 1: this template is longer"):
        from_document(document, SECRETS)


def test_it_carries_what_the_section_says_and_nothing_else() -> None:
    document = configuration(WHOLE)
    document |= {"activeChannels": ["email"], "channels": {"email": {"providers": [NAME]}}}
    with pytest.raises(ConfigurationError, match='"any" cannot carry email; any carries sms'):
        from_document(document, SECRETS)


def test_a_section_under_the_types_name_carries_its_channels_unasked() -> None:
    document: Document = {
        "activeChannels": ["sms"],
        "sender": {"sms": "Shop"},
        "providers": {"http": {**WHOLE, "channels": ["sms"]}},
    }
    assert [*from_document(document, SECRETS).providers] == ["http"]
    document |= {"activeChannels": ["email"], "sender": {"email": "a@b.it"}}
    with pytest.raises(ConfigurationError, match="nobody carries email"):
        from_document(document, SECRETS)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    made = tmp_path / "key"
    made.write_text(f"{KEY}\n")
    made.chmod(0o644)
    return made


def of_file(file: Path) -> Document:
    return configuration({**WHOLE, "secrets": [{"name": "KEY", "file": str(file)}]})


def test_a_secret_may_come_from_a_file(file: Path) -> None:
    settings = from_document(of_file(file), {})
    check_providers(settings)
    wire = ScriptedWire([])
    config = settings.providers[NAME].config
    provider = config.build(BuildContext(NAME, wire, FakeHandovers(), read_start))
    assert provider is not None
    assert any("secrets[0].file" in one for one in readable_by_others(settings))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file or directory"),
        (b"", "it is empty, or longer than 65,536 bytes"),
        (b"x" * 65_537, "it is empty, or longer than 65,536 bytes"),
        (b"\xff", "it is no text in UTF-8"),
        (b"a\nb", "the value of KEY has control characters"),
    ],
)
def test_a_file_without_a_secret_stops_check_and_start(
    content: bytes | None, why: str, file: Path
) -> None:
    settings = from_document(of_file(file), {})
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=why) as raised:
        check_providers(settings)
    assert raised.value.problems[0].startswith(f"providers.{NAME}.secrets[0]")
    context = BuildContext(NAME, ScriptedWire([]), FakeHandovers(), read_start)
    with pytest.raises(ValueError, match=why):
        settings.providers[NAME].config.build(context)


def test_a_secret_that_is_no_url_is_refused_where_it_is_one() -> None:
    section: Document = {"url": "{{secret.KEY}}", "secrets": ["KEY"], "json": {}}
    settings = from_document(configuration(section), SECRETS)
    with pytest.raises(ConfigurationError, match=r"any\.url: secret\.KEY must be an http") as found:
        check_providers(settings)
    assert KEY not in str(found.value)
    assert addresses(settings) == {}


def test_no_secret_shows() -> None:
    settings = from_document(configuration(WHOLE), SECRETS)
    config = settings.providers[NAME].config
    provider = built(WHOLE, ScriptedWire([]))
    shown = f"{settings!r}{config!r}{config}{provider!r}{addresses(settings)}{vars(config)}"
    assert KEY not in shown
    assert KEY not in str([*leaves(config)])
    assert addresses(settings) == {f"providers.{NAME}.url": "https://h.example"}


def test_a_change_of_what_it_sends_takes_effect_at_the_next_start() -> None:
    started = from_document(configuration(WHOLE), SECRETS)
    changed = from_document(
        configuration({**WHOLE, "json": {"to": "{{to}}"}, "timeout": "5s"}), SECRETS
    )
    assert at_next_start(started, changed) == [f"providers.{NAME}.json"]


def test_what_it_reads_of_a_request_is_known() -> None:
    section: Document = {
        "url": "https://h/{{user.a.b}}",
        "json": "{{data.c}} {{to}} {{secret.KEY}}",
        "secrets": ["KEY"],
    }
    config = loaded(section).config
    assert isinstance(config, HttpConfig)
    assert config.paths(Engine) == {("user", "a", "b"), ("data", "c")}
    assert not loaded(WHOLE).config.paths(Engine)
