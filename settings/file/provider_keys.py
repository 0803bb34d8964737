"""The sections `providers` and `channels` of the configuration file."""

from __future__ import annotations

from typing import Annotated, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from carillon.settings.file.values import (
    Duration,
    OrName,
    OrText,
    PositiveDuration,
    Section,
    Share,
    Text,
    Token,
    Url,
    Zone,
    lasting,
    named,
)
from carillon.settings.file.windows import MOST_CALLS, window, windows
from carillon.settings.model import OnUnknownOutcome, ProviderType


class RateKeys(Section):
    """One sliding window."""

    limit: int = Field(ge=1, le=MOST_CALLS, description="Calls that may arrive in any window.")
    per: PositiveDuration = Field(description="Length of the window.")


Window: TypeAlias = Annotated[RateKeys, BeforeValidator(window), OrText("100/1m")]
Windows: TypeAlias = Annotated[
    list[Window], Field(max_length=100), BeforeValidator(windows), OrText("100/1m,10/1s")
]


class QuotaKeys(Section):
    """A budget for a day."""

    limit: int = Field(ge=1, le=10_000_000_000, description="Calls a day.")
    reset_at: str = Field(
        default="00:00",
        pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$",
        description="Time of day at which counting begins anew.",
        json_schema_extra={"examples": ["00:00"]},
    )
    zone: Zone = Field(default="UTC", description="Time zone of `resetAt`.")


class RetryKeys(Section):
    """How a call is repeated after a transient failure."""

    attempts: int = Field(default=8, ge=1, le=100, description="All calls, the first included.")
    first_delay: PositiveDuration = lasting(
        "500ms", "Longest wait before the second call; it doubles from there."
    )
    max_delay: PositiveDuration = lasting("1m", "Longest wait of all.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.first_delay > self.max_delay:
            raise ValueError("an object whose firstDelay is at most its maxDelay")
        return self


class BreakerKeys(Section):
    """When calls stop because the provider is down."""

    failures: int = Field(
        default=10, ge=1, le=100_000, description="Transient failures in a row that open it."
    )
    cooldown: PositiveDuration = lasting("30s", "Wait before the next probe.")


class CredentialKeys(Section):
    """What a provider wants to see; the environment fills in what is missing."""

    api_key: Token | None = Field(default=None, description="kaleyra: the API key.")
    sid: Token | None = Field(default=None, description="kaleyra: the account's SID.")
    file: Text | None = Field(
        default=None, description="firebase: path of the service account's key file."
    )


class OptionKeys(Section):
    """What is special about one type of provider."""

    target: str = Field(
        default="{text}",
        pattern=r"\{(text|jsonText)\}",
        description="kaleyra: the form field `target`; `{text}` in it is the message, "
        "`{jsonText}` the same inside a JSON string.",
        json_schema_extra={"examples": ["{text}"]},
    )
    fields: dict[str, str] = Field(
        default_factory=dict, description="kaleyra: further form fields, for example `retry`."
    )
    latency: Duration = lasting("0", "sandbox: how long a call takes.")
    refuse: Share = Field(default=0.0, description="sandbox: share refused for good, 0 to 1.")
    throttle: Share = Field(default=0.0, description="sandbox: share that is throttled.")
    fail: Share = Field(default=0.0, description="sandbox: share that fails for now.")
    lose: Share = Field(default=0.0, description="sandbox: share whose answer is lost.")

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.refuse + self.throttle + self.fail + self.lose > 1.0:
            raise ValueError("an object whose refuse, throttle, fail and lose add up to at most 1")
        return self


class LimitKeys(Section):
    """What holds for the calls to a provider; may be changed while the service runs."""

    concurrency: int = Field(default=20, ge=1, le=10_000, description="Calls open at once.")
    rate: Windows = Field(default_factory=list, description="Windows; all hold. Empty is open.")
    quota: QuotaKeys | None = Field(default=None, description="A budget for a day.")
    timeout: PositiveDuration = lasting("30s", "Of one call.")
    retry: RetryKeys = Field(default_factory=RetryKeys)
    breaker: BreakerKeys = Field(default_factory=BreakerKeys)
    on_unknown_outcome: OnUnknownOutcome | None = Field(
        default=None,
        description="What to do after a call that was never answered. Default: by type.",
    )


class ProviderKeys(LimitKeys):
    """One outside service that carries messages."""

    type: ProviderType | None = Field(default=None, description="Default: the section's name.")
    url: Url | None = Field(
        default=None, description="Base; the type adds its path. Wins over the environment."
    )
    credentials: CredentialKeys = Field(default_factory=CredentialKeys)
    options: OptionKeys = Field(default_factory=OptionKeys)


Weight: TypeAlias = Annotated[int, Field(ge=1, le=1000)]


class ChoiceKeys(Section):
    """A provider of a channel."""

    name: Text = Field(description="A section of `providers`, or a type.")
    weight: Weight | None = Field(
        default=None, description="Share of the load. Default: none, tried in order."
    )


Choice: TypeAlias = Annotated[ChoiceKeys, BeforeValidator(named), OrName()]


class ChannelKeys(Section):
    """How one channel is carried."""

    providers: Annotated[list[Choice], Field(min_length=1, max_length=100)] | None = Field(
        default=None, description="In this order. Default: what the environment configures."
    )
    time_to_live: PositiveDuration | None = Field(
        default=None, description="After this a message is not sent any more."
    )


class ChannelsKeys(Section):
    """One section for each channel."""

    email: ChannelKeys = Field(default_factory=ChannelKeys)
    sms: ChannelKeys = Field(default_factory=ChannelKeys)
    push: ChannelKeys = Field(default_factory=ChannelKeys)
    voice: ChannelKeys = Field(default_factory=ChannelKeys)
