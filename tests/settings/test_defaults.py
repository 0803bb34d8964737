"""What holds when nothing is said, and how what is said arrives."""

from __future__ import annotations

import math
from datetime import time
from pathlib import Path

import pytest

from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.limits import Retry
from carillon.actors.provider.quota import Quota
from carillon.actors.provider.rate_limit import Rate
from carillon.handlebars import Limits as TemplateLimits
from carillon.messages.model import Document, UserFields
from carillon.providers.sms_service import SmsServiceConfig
from carillon.settings import (
    VARIABLES,
    ChannelSettings,
    DirectorySettings,
    FilesSettings,
    JournalSettings,
    Limits,
    ProviderChoice,
    ProviderSettings,
    ServerSettings,
    from_document,
    load,
)
from tests.settings.examples import SMS_ENVIRONMENT, settings, sms, sms_provider, url_of


def test_the_smallest_configuration_gets_every_documented_default() -> None:
    found = settings()

    assert found.active_channels == ("sms",)
    assert found.senders == {"sms": "Shop"}
    assert found.user_fields == UserFields()
    assert found.channels == {"sms": ChannelSettings((ProviderChoice("sms-service"),), None)}
    assert found.providers == {
        "sms-service": ProviderSettings(
            name="sms-service",
            config=SmsServiceConfig(type="sms-service", url="http://sms-service"),
            concurrency=20,
            rate=(),
            quota=None,
            timeout=30.0,
            retry=Retry(8, 0.5, 60.0),
            breaker=BreakerSettings(10, 30.0),
            on_unknown_outcome="hold",
        )
    }
    assert found.directory == DirectorySettings(None, None, None, Path("carillon.db"), 10.0, 3)
    assert found.files == FilesSettings(None, None)
    assert found.server == ServerSettings("127.0.0.1", 3000, "", "info", 0, in_cluster=False)
    assert (found.respond_within, found.drain) == (50.0, 25.0)
    assert found.limits == Limits(16_777_216, 1000, 10_000)
    assert found.template_limits == TemplateLimits(262_144, 200, 200_000, 10_000_000, 80)
    assert found.idempotency_expiry == 86_400.0
    assert found.journal == JournalSettings("commit", keep_content=False, retention=2_592_000.0)
    assert (found.android_intent_action, found.default_locale) == ("", "en-US")
    assert found.flow_manager is None
    assert not found.escape_everywhere
    assert found.warnings == ()


def test_every_key_of_a_provider_arrives() -> None:
    found = settings(
        sms_provider(
            url="https://sms.example:8443/base/",
            concurrency=4,
            rate=[{"limit": 10, "per": "1s"}, {"limit": 100, "per": "1m"}],
            quota={"limit": 5000, "resetAt": "06:30", "zone": "Europe/Rome"},
            timeout="1.5s",
            retry={"attempts": 2, "firstDelay": "1s", "maxDelay": "2s"},
            breaker={"failures": 3, "cooldown": "1m"},
            onUnknownOutcome="retry",
        )
    ).providers["sms-service"]

    assert url_of(found) == "https://sms.example:8443/base"
    assert found.concurrency == 4
    assert found.rate == (Rate(10, 1.0), Rate(100, 60.0))
    assert found.quota == Quota(5000, time(6, 30), "Europe/Rome")
    assert found.timeout == 1.5
    assert found.retry == Retry(2, 1.0, 2.0)
    assert found.breaker == BreakerSettings(3, 60.0)
    assert found.on_unknown_outcome == "retry"


def test_the_other_keys_arrive() -> None:
    found = settings(
        sms(
            userFields={"id": "fiscalCode", "emailAddress": "mail"},
            androidIntentAction="OPEN",
            escaping="everywhere",
            respondWithin="10s",
            drain=0,
            limits={"bodyBytes": 1, "openDispatches": 2, "failures": 3},
            directory={"timeout": "3s", "attempts": 7},
            templates={"templateBytes": 1, "nesting": 2, "steps": 3, "outputBytes": 4},
            channels={"sms": {"timeToLive": "10m"}},
        )
    )

    assert found.user_fields == UserFields(id="fiscalCode", email_address="mail")
    assert found.android_intent_action == "OPEN"
    assert found.escape_everywhere
    assert (found.respond_within, found.drain) == (10.0, 0.0)
    assert found.limits == Limits(1, 2, 3)
    assert (found.directory.timeout, found.directory.attempts) == (3.0, 7)
    assert found.template_limits == TemplateLimits(1, 2, 3, 4, 80)
    assert found.channels["sms"].time_to_live == 600.0


@pytest.mark.parametrize("never", [0, "0", "0s", "0ms"])
def test_zero_for_respond_within_waits_for_ever(never: int | str) -> None:
    assert settings(sms(respondWithin=never)).respond_within == math.inf


def test_a_key_that_is_null_counts_as_not_written() -> None:
    assert settings(sms(drain=None, limits={"failures": None}, providers=None)) == settings()


def test_a_channel_listed_twice_counts_once() -> None:
    assert settings(sms(activeChannels=["sms", "sms"])).active_channels == ("sms",)


def test_the_environment_of_the_process_is_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    file = tmp_path / "configuration.json"
    file.write_text('{"activeChannels": ["sms"], "sender": {"sms": "Shop"}}')
    monkeypatch.setenv("CONFIGURATION_PATH", str(file))
    monkeypatch.setenv("SMS_SERVICE_NAME", "sms-service")

    assert load() == settings()


def test_only_documented_variables_are_read() -> None:
    read: set[str] = set()

    class Recording(dict[str, str]):
        def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
            read.add(name)
            return super().get(name, default)

    channels = ["email", "sms", "push", "voice"]
    sender: Document = dict.fromkeys(channels, "a@b.it")
    document: Document = {"activeChannels": [*channels], "sender": sender}
    environ = {"MAIL_SERVICE_NAME": "mail", "GOOGLE_APPLICATION_CREDENTIALS": __file__}
    environ |= {"KALEYRA_API_KEY": "k", "KALEYRA_SID": "s", "KALEYRA_API_BASE_URL": "http://k"}
    from_document(document, Recording(environ | SMS_ENVIRONMENT))

    assert read <= set(VARIABLES)
