"""What is special about each type of provider: channels, variables, keys, defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from carillon.messages.model import CHANNELS, Channel
from carillon.settings.model import OnUnknownOutcome, ProviderType


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of provider.

    `variables` configure it; `addresses` are those of them that give its URL, `credentials` and
    `options` the keys of these sections that it knows. `on_unknown_outcome` is `retry` where a
    repeat replaces or joins the first, so that nobody gets a message twice.
    """

    channels: tuple[Channel, ...]
    variables: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    url: str | None = None
    credentials: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    on_unknown_outcome: OnUnknownOutcome = "hold"


_KALEYRA: Final = ("KALEYRA_API_KEY", "KALEYRA_SID", "KALEYRA_API_SID", "KALEYRA_API_BASE_URL")
_SANDBOX: Final = ("latency", "refuse", "throttle", "fail", "lose")

KINDS: Final[Mapping[ProviderType, Kind]] = MappingProxyType(
    {
        "mail-service": Kind(
            channels=("email",),
            variables=("MAIL_SERVICE_NAME", "MAIL_SERVICE_URL"),
            addresses=("MAIL_SERVICE_NAME", "MAIL_SERVICE_URL"),
        ),
        "sms-service": Kind(
            channels=("sms",),
            variables=("SMS_SERVICE_NAME", "SMS_SERVICE_URL"),
            addresses=("SMS_SERVICE_NAME", "SMS_SERVICE_URL"),
        ),
        "kaleyra": Kind(
            channels=("voice",),
            variables=_KALEYRA,
            addresses=("KALEYRA_API_BASE_URL",),
            credentials=("api_key", "sid"),
            options=("target", "fields"),
        ),
        "kafka2firebase": Kind(
            channels=("push",),
            variables=("KAFKA_2_FIREBASE_SERVICE_NAME", "KAFKA_TOPICS"),
            on_unknown_outcome="retry",
        ),
        "firebase": Kind(
            channels=("push",),
            variables=("GOOGLE_APPLICATION_CREDENTIALS",),
            url="https://fcm.googleapis.com",
            credentials=("file",),
            on_unknown_outcome="retry",
        ),
        "sandbox": Kind(channels=CHANNELS, options=_SANDBOX),
    }
)
"""In the order in which a channel tries those that the environment configures."""
