"""Whatever is wrong with a configuration, nothing that is told of it shows a secret."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from carillon.cli.failure import BadInput
from carillon.messages.model import Document, JsonValue
from carillon.providers.config import needs, variables
from carillon.providers.registry import TYPES
from carillon.settings import ConfigurationError, from_document, load
from tests.cli.command_line import invoke
from tests.settings.examples import SMS_ENVIRONMENT, sms

FLOW: Document = {"metadataSchema": {"channels": "c"}}

ENVIRONMENTS = [
    {"HTTP_HOST": "user:PASS@host"},
    {"CRUD_SERVICE_NAME": "user:PASS@host:80", "USERS_CRUD_NAME": "users"},
    {"CRUD_SERVICE_URL": "http://host/x?api_key=PASS", "USERS_CRUD_NAME": "users"},
    {"SMS_SERVICE_URL": "http://user:PASS@host"},
    {"SMS_SERVICE_URL": "http://host?PASS#top"},
    {"SMS_SERVICE_NAME": "http://host?key=PASS#top"},
    {"FILE_SERVICE_NAME": "http://host/?x=PASS"},
    {"STORE_URL": "sqlite:///x.db?key=PASS"},
    {"STORE_URL": "postgres://user:PASS@host/db"},
    {"STORE_URL": "mongodb://user:PASS@host:1:2/db"},
    {"FILES_DIRECTORY": "s3://bucket?secret=PASS"},
    {"LOG_LEVEL": "user:PASS@host"},
    {"SERVICE_PREFIX": "/a?token=PASS"},
    {"DEFAULT_LOCALE": "http://x/?sig=PASS"},
    {"USERS_CRUD_NAME": "apikey=PASS"},
    {"API_KEYS_FILE": "http://user:PASS@host"},
    {"API_KEYS": "PASS"},
    {"OPERATOR_TOKEN_FILE": "http://user:PASS@host/x"},
    {"HTTP_PORT": "http://user:PASS@host"},
    {"TWILIO_ACCOUNT_SID": "PASS", "TWILIO_AUTH_TOKEN": "PASS"},
    {"TWILIO_AUTH_TOKEN": "PASS\u00e9"},
    {"VONAGE_API_SECRET": "PASS\u00e9"},
    {"VONAGE_API_KEY": "PASS\u00e9"},
]
KEYS: list[Document] = [
    {"providers": {"http://user:PASS@host": {}}},
    {"providers": {"sms-service": {"http://user:PASS@host": 1}}},
    {"providers": {"sms-service": {"url": "http://user:PASS@host"}}},
    {"providers": {"sms-service": {"url": "http://host?key=PASS"}}},
    {"providers": {"sms-service": {"url": "http://host?PASS#top"}}},
    {"providers": {"kaleyra": {"options": {"fields": {"pin": ["PASS"]}}}}},
    {"providers": {"kaleyra": {"options": {"fields": "PASS"}}}},
    {"providers": {"kaleyra": {"credentials": "PASS"}}},
    {"providers": {"sms-service": {"rate": "http://host?token=PASS"}}},
    {"providers": {"sms-service": {"type": "user:PASS@host"}}},
    {"providers": {"kaleyra": {"credentials": {"apiKey": ["PASS"], "sid": 1}}}},
    {"providers": {"twilio": {"credentials": {"authToken": ["PASS"], "accountSid": "PASS"}}}},
    {"providers": {"twilio": {"credentials": {"apiKey": "PASS"}}}},
    {"providers": {"twilio": {"options": {"messageFields": {"pin": ["PASS"]}}}}},
    {"providers": {"ses": {"credentials": {"secretAccessKey": ["PASS"], "sessionToken": 7}}}},
    {"providers": {"ses": {"credentials": {"containerUrl": "http://user:PASS@host"}}}},
    {"providers": {"ses": {"region": "http://user:PASS@host"}}},
    {"providers": {"vonage": {"credentials": {"apiSecret": ["PASS"]}}}},
    {"providers": {"vonage": {"options": {"fields": "PASS"}}}},
    {"channels": {"sms": {"providers": ["http://user:PASS@host/" + "x" * 80]}}},
    {"channels": {"sms": {"providers": ["http://user:PASS" + "x" * 80 + "@host"]}}},
    {"http://user:PASS@host": 1},
    {"https://user:" + "PASS" * 200 + "@host": 1},
    {"activeChannels": ["https://user:PASS@host"]},
    {"flowManagerConfiguration": {**FLOW, "serviceUrl": "http://user:PASS@host"}},
    {"flowManagerConfiguration": {**FLOW, "serviceUrl": "http://host#access_token=PASS"}},
    {"flowManagerConfiguration": {**FLOW, "getDataFilePath": "https://user:PASS@host/data.js"}},
]


def told(keys: Document, environ: dict[str, str]) -> str:
    """Everything that is said of a configuration."""
    try:
        return str(from_document(sms(**keys), SMS_ENVIRONMENT | environ).warnings)
    except ConfigurationError as error:
        return str(error)


@pytest.mark.parametrize("environ", ENVIRONMENTS, ids=str)
def test_no_variable_shows_a_secret(environ: dict[str, str]) -> None:
    text = told({}, environ)
    assert next(iter(environ)) in text
    assert "PASS" not in text


@pytest.mark.parametrize("keys", KEYS, ids=lambda keys: str(keys)[:40])
def test_no_key_of_the_file_shows_a_secret(keys: dict[str, JsonValue]) -> None:
    assert "PASS" not in told(keys, {})


def test_no_broker_shows_a_secret() -> None:
    keys: Document = {"flowManagerConfiguration": {**FLOW, "kafka": {"commandsTopic": "t"}}}
    text = told(keys, {"KAFKA_BROKERS": "a:9092,user:PASS@broker:9092"})
    assert "KAFKA_BROKERS" in text
    assert "PASS" not in text


def test_a_path_that_is_a_url_shows_no_secret() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load({"CONFIGURATION_PATH": "http://user:PASS@host/configuration.json"})
    assert "PASS" not in str(caught.value)


@pytest.mark.parametrize("url", ["user:PASS@host", "http://user:PASS@host", "http://h?key=PASS"])
def test_the_command_line_shows_none_of_its_own_address(url: str) -> None:
    result = invoke("providers", "list", CARILLON_URL=url)
    assert result.exit_code == BadInput.exit_code
    assert "CARILLON_URL" in result.stderr
    assert "PASS" not in result.output


def firebase(folder: Path, content: str) -> str:
    """What `config check` says of an account file."""
    account, file = folder / "account", folder / "configuration.json"
    account.write_text(content)
    account.chmod(0o600)
    file.write_text(json.dumps({"activeChannels": ["push"]}))
    result = invoke(
        *("config", "check"),
        CONFIGURATION_PATH=str(file),
        GOOGLE_APPLICATION_CREDENTIALS=str(account),
    )
    assert result.exit_code == BadInput.exit_code, result.output
    return result.stderr


def test_a_pem_is_no_account_of_google(tmp_path: Path) -> None:
    said = firebase(tmp_path, "-----BEGIN PRIVATE KEY-----\nPASS\n-----END PRIVATE KEY-----\n")
    assert f"providers.firebase.credentials.file {tmp_path}/account: " in said
    assert "is a PEM and not JSON" in said
    assert "PASS" not in said


def test_a_key_of_another_kind_is_no_account_of_google(tmp_path: Path) -> None:
    keys = {"project_id": "p", "client_email": "e", "private_key": "PASS"}
    said = firebase(tmp_path, json.dumps(keys))
    assert "`private_key` in the credentials file is not an RSA key" in said
    assert "PASS" not in said


VALUES = {
    "TWILIO_ACCOUNT_SID": "AC" + "0b" * 16,
    "KALEYRA_API_BASE_URL": "https://kaleyra.example",
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://agent.example/keys",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/keys",
    "SMTP_URL": "smtp://ada:hunter2-SMTP_URL@smtp.example",
}
"""Of variables that take no `hunter2`; that of the others is their own name besides."""
SECRET = {
    name: [one.name for one in variables(kind) if one.secret]
    for name, kind in TYPES.items()
    if any(one.secret for one in variables(kind))
}


def value_of(name: str) -> str:
    return VALUES.get(name, f"hunter2-{name}")


@pytest.mark.parametrize("name", SECRET)
def test_a_type_that_takes_its_variables_shows_none_that_is_secret(
    name: str, tmp_path: Path
) -> None:
    (channel, *_) = TYPES[name].facts.channels
    file = tmp_path / "configuration.json"
    named: Document = {channel: {"providers": [name]}}
    sender = {"sender": {channel: "shop@example.com"}}
    file.write_text(json.dumps({"activeChannels": [channel], **sender, "channels": named}))
    needed = [one for mark in needs(TYPES[name]) if not mark.optional for one in mark.variables]
    environ = {one: value_of(one) for one in {*SECRET[name], *(each.name for each in needed)}}
    result = invoke("config", "check", CONFIGURATION_PATH=str(file), **environ)
    assert result.exit_code == 0, result.output
    assert f"over {name}" in result.stdout
    found = load({"CONFIGURATION_PATH": str(file), **environ})
    for one in SECRET[name]:
        secret = environ[one].rpartition("ada:")[2].partition("@")[0]
        assert secret not in result.output + result.stderr + repr(found), one
