"""Configurations that the tests of the settings start from."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from carillon.messages.model import Document, JsonValue
from carillon.providers.config import HttpProviderConfig
from carillon.settings import ConfigurationError, ProviderSettings, Settings, from_document

SMS_ENVIRONMENT = {"SMS_SERVICE_NAME": "sms-service"}


def sms(**keys: JsonValue) -> Document:
    """A file with sms as the only channel, and these keys besides."""
    return {"activeChannels": ["sms"], "sender": {"sms": "Shop"}, **keys}


def settings(
    document: JsonValue | None = None, environ: Mapping[str, str] | None = None
) -> Settings:
    """The settings of a file; sms through the SMS service unless something else is said."""
    return from_document(
        sms() if document is None else document, SMS_ENVIRONMENT if environ is None else environ
    )


def problems(document: JsonValue, environ: Mapping[str, str] | None = None) -> list[str]:
    """What is wrong with a file."""
    with pytest.raises(ConfigurationError) as raised:
        settings(document, environ)
    return raised.value.problems


def sms_provider(**keys: JsonValue) -> Document:
    """A file with these keys in the section of the SMS service."""
    return sms(providers={"sms-service": keys})


def url_of(provider: ProviderSettings) -> str:
    """Where a provider is that is called over HTTP."""
    assert isinstance(provider.config, HttpProviderConfig)
    return provider.config.url
