"""File descriptors: as many as the system grants, and whether they are enough for what is set."""

from __future__ import annotations

import resource
from contextlib import suppress
from typing import Final

from carillon.settings.model import Settings

RESERVE: Final = 256
"""Descriptors for callers, the store and look-ups, besides one for each call to a provider."""
_MOST: Final = 1_048_576  # where the system names no limit, a process gets no more than these


def raise_limit() -> None:
    """Raise the soft limit of this process to the hard one, as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most()), hard))


def most() -> int:
    """How many descriptors this process may have once its limit is raised."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)


def shortage(settings: Settings, granted: int) -> str | None:
    """A sentence when the limit of descriptors is below what the providers may need at once."""
    calls = sum(
        provider.concurrency
        for provider in settings.providers.values()
        if provider.config.facts.connects
    )
    if calls + RESERVE <= granted:
        return None
    return (
        f"the providers' concurrency is {calls} in sum, with a reserve of {RESERVE} for callers "
        f"and the store that is more than the {granted} file descriptors of this process: raise "
        "its hard limit (ulimit -Hn, LimitNOFILE=) or lower `concurrency`, else calls wait"
    )
