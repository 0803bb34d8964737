"""The keys of a provider's section that limit the calls to it, whatever its type."""

from __future__ import annotations

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from carillon.providers.values import OrText, PositiveDuration, Section, Zone, lasting
from carillon.providers.windows import MOST_CALLS, window, windows

OnUnknownOutcome = Literal["hold", "retry"]


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
