"""Providers as rows of a table, for `list` and `watch` alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from carillon.cli.providers_client import (
    ConfigurationTold,
    ProviderTold,
    WaitingTold,
    WindowTold,
)
from carillon.cli.providers_words import worded

HEADER: Final = (
    "provider",
    "channels",
    "state",
    "calls",
    "waiting",
    "oldest",
    "because of",
    "rate used",
    "quota left",
    "breaker",
    "overrides",
)

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_SHORT: Final = 10.0


def row(provider: ProviderTold) -> Sequence[str]:
    """One provider; `calls` are those in flight and how many may be."""
    told = provider.waiting
    return (
        provider.name,
        " ".join(provider.channels),
        provider.state,
        f"{provider.in_flight}/{worded('concurrency', provider.value('concurrency'))}",
        f"{told.deliveries:,}",
        elapsed(told.oldest) if told.deliveries else "",
        hold(told),
        " ".join(map(used, provider.rate)),
        "" if provider.quota is None else f"{provider.quota.left:,}",
        breaker(provider),
        " ".join(provider.overrides),
    )


def hold(told: WaitingTold) -> str:
    """Why the next call must wait and for how long: `rate, 0.4s`; nothing when it need not."""
    if told.why is None:
        return ""
    return told.why if told.opens_in is None else f"{told.why}, {elapsed(told.opens_in)}"


def used(window: WindowTold) -> str:
    """How full a window is: `98/100/1m`."""
    return f"{window.used}/{window.limit}/{window.per}"


def breaker(provider: ProviderTold) -> str:
    """Its state, with the failures in a row where there are some."""
    told = provider.breaker
    return f"{told.state} ({told.failures})" if told.failures else told.state


def elapsed(seconds: float) -> str:
    """Seconds as people read them: `0.4s`, `42s`, `3m 20s`, `2h 5m`."""
    if seconds < _MINUTE:
        return f"{seconds:.1f}s" if seconds < _SHORT else f"{seconds:.0f}s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f}m {seconds % _MINUTE:.0f}s"
    return f"{seconds // _HOUR:.0f}h {seconds % _HOUR // _MINUTE:.0f}m"


def about_the_file(told: ConfigurationTold) -> Iterator[str]:
    """A sentence for what the configuration file says that is not in force."""
    if told.error is not None:
        yield f"The file is refused, that of {told.loaded_at} stays in force: {told.error}"
    if told.at_next_start:
        keys = ", ".join(told.at_next_start)
        yield f"These keys of the file take effect at the next start: {keys}"
