"""What `config check` suggests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carillon.access.keys import draw_key
from carillon.messages.model import Document, JsonValue
from carillon.settings import Settings, key_record
from carillon.settings import advice as all_advice
from tests.settings.examples import SMS_ENVIRONMENT, settings, sms, sms_provider

ABOUT_KEYS = "API_KEYS and API_KEYS_FILE are not set"
LIMIT_A_MINUTE: JsonValue = [{"limit": 100, "per": "1m"}]
LIMITED = sms_provider(rate=LIMIT_A_MINUTE)


def advice(settings: Settings) -> list[str]:
    """All but what nearly every configuration here is told: that there are no keys."""
    return [hint for hint in all_advice(settings) if not hint.startswith(ABOUT_KEYS)]


def test_an_open_rate_where_the_provider_documents_a_limit() -> None:
    (found,) = advice(settings())

    assert found == (
        "providers.sms-service.rate is open; the Mia SMS service accepts 100 a minute by default "
        '(RATE_LIMIT_MAX_REQUESTS): consider "rate": [{"limit": 100, "per": "1m"}]'
    )
    assert advice(settings(LIMITED)) == []


def test_firebase_has_a_documented_limit_too(tmp_path: Path) -> None:
    account = tmp_path / "account.json"
    account.touch(0o600)

    (found,) = advice(
        settings({"activeChannels": ["push"]}, {"GOOGLE_APPLICATION_CREDENTIALS": str(account)})
    )

    assert 'consider "rate": [{"limit": 600000, "per": "1m"}]' in found


@pytest.mark.parametrize(
    ("channel", "environ", "rate"),
    [
        (
            "sms",
            {"TWILIO_ACCOUNT_SID": "AC" + "0" * 32, "TWILIO_AUTH_TOKEN": "t"},
            '"limit": 1, "per": "1s"',
        ),
        ("sms", {"VONAGE_API_KEY": "k", "VONAGE_API_SECRET": "s"}, '"limit": 30, "per": "1s"'),
        (
            "email",
            {"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"},
            '"limit": 1, "per": "1s"',
        ),
    ],
)
def test_so_have_those_that_are_called_directly(
    channel: str, environ: dict[str, str], rate: str
) -> None:
    document: Document = {"activeChannels": [channel], "sender": {channel: "shop@example.com"}}
    (found,) = advice(settings(document, environ))

    assert f'consider "rate": [{{{rate}}}]' in found


@pytest.mark.parametrize(
    ("keys", "environ", "expected"),
    [
        ({}, {"CRUD_SERVICE_NAME": "crud", "USERS_CRUD_NAME": "u"}, "TEMPLATES_CRUD_NAME is not"),
        ({"respondWithin": "90s"}, {}, "respondWithin is 90s; most gateways give up after 1m"),
        ({"respondWithin": "90.5s"}, {}, "respondWithin is 90500ms; most"),
        ({"respondWithin": 0}, {}, "respondWithin is 0 (for ever)"),
        ({}, {"KUBERNETES_SERVICE_HOST": "x"}, "stopping may take 35s"),
    ],
)
def test_times_and_collections(keys: Document, environ: dict[str, str], expected: str) -> None:
    (found,) = advice(settings(sms() | LIMITED | keys, SMS_ENVIRONMENT | environ))

    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({}, ["serviceUrl is not set"]),
        ({"serviceUrl": "http://fm"}, ["successEventLabel is not", "failEventLabel is not"]),
        ({"serviceUrl": "http://fm", "successEventLabel": "a"}, ["failEventLabel is not set"]),
        ({"serviceUrl": "http://fm", "successEventLabel": "a", "failEventLabel": "b"}, []),
    ],
)
def test_a_saga_that_would_stall_is_told_of(keys: Document, words: list[str]) -> None:
    flow: Document = {"metadataSchema": {"channels": "c"}, **keys}
    file = sms() | LIMITED | {"flowManagerConfiguration": flow}
    found = advice(settings(file, SMS_ENVIRONMENT))

    assert len(found) == len(words)
    for hint, word in zip(found, words, strict=True):
        assert hint.startswith(f"flowManagerConfiguration.{word}")


@pytest.mark.parametrize(
    ("environ", "operators"),
    [
        ({}, "operators need the token in a file of the service's user"),
        ({"KUBERNETES_SERVICE_HOST": "x"}, "the routes of operators are off"),
    ],
)
def test_a_service_without_keys_is_advised_to_have_some(
    environ: dict[str, str], operators: str
) -> None:
    found = all_advice(settings(LIMITED, SMS_ENVIRONMENT | environ))
    [hint] = [one for one in found if one.startswith(ABOUT_KEYS)]
    assert operators in hint
    assert "carillon keys new" in hint


def test_a_service_with_keys_is_not() -> None:
    _, key = draw_key("shop", ["send"])
    environ = {"API_KEYS": json.dumps([key_record(key)])}
    assert all_advice(settings(LIMITED, SMS_ENVIRONMENT | environ)) == []


@pytest.mark.parametrize(
    ("limits", "retention", "words"),
    [
        ({"rate": [{"limit": 9, "per": "2d"}]}, "1d", ["sms-service.rate counts calls for 2d"]),
        ({"rate": [{"limit": 9, "per": "1m"}]}, "1d", []),
        ({"quota": {"limit": 9}}, "1h", ["sms-service.quota counts calls for 1d"]),
        ({"quota": {"limit": 9}}, "1d", []),
    ],
)
def test_calls_that_count_for_longer_than_rows_are_kept(
    limits: dict[str, JsonValue], retention: str, words: list[str]
) -> None:
    keys: Document = {"journal": {"retention": retention}, "idempotency": {"expiry": "1m"}}

    found = advice(settings(LIMITED | sms_provider(**{"rate": LIMIT_A_MINUTE, **limits}) | keys))

    assert [one.partition("providers.")[2].partition(":")[0] for one in found] == words
    assert all(f"journal.retention is {retention}, but" in one for one in found)
