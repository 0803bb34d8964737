"""`/providers`: how each provider does and what holds for it, and changes that hold at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from quart import Blueprint, Response, request

from carillon.actors.channel import Waiting
from carillon.actors.provider.limits import Limits, Statistics
from carillon.api.access import caller, needs
from carillon.api.answers import json_answer, moment
from carillon.api.body import json_body
from carillon.api.errors import error_answer
from carillon.messages.durations import written
from carillon.messages.model import Channel, Document


@dataclass(frozen=True, slots=True)
class FileStatus:
    """The configuration in force: when it was read, in seconds since 1970, and what came after.

    `error` says why the file as it is now was refused; `at_next_start` are the keys that differ
    from what the service started with and that it cannot change while it runs.
    """

    loaded_at: float
    error: str | None = None
    at_next_start: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ProviderView:
    """One provider at one moment.

    `settings` hold for each key its `value`, in the configuration file's spelling, and its
    `source`: `default`, `file` or `override`.
    """

    name: str
    type: str
    channels: Sequence[Channel]
    settings: Mapping[str, Document]
    limits: Limits
    statistics: Statistics
    waiting: Waiting


class UnknownName(LookupError):
    """Nothing is called so; the text names what there is."""


class Tuning(Protocol):
    """What operators see and change while the service runs.

    A change is in force and survives a restart when its call returns; when it raises, nothing has
    changed. `who` is for the audit.
    """

    def file_status(self) -> FileStatus:
        """The configuration file."""
        ...

    def providers(self) -> Sequence[ProviderView]:
        """Every provider, in the order of the channels."""
        ...

    def provider(self, name: str) -> ProviderView:
        """One provider. Raises UnknownName."""
        ...

    async def change(self, name: str, patch: object, who: str) -> None:
        """Change a provider's settings as a JSON body asks for.

        Raises:
            UnknownName: there is no such provider.
            BadCommand: the body is no change, or breaks a rule.
            JournalUnavailable: it could not be made durable.
        """
        ...

    async def reset(self, name: str, who: str) -> None:
        """Let the configuration file hold again for a provider. Raises as `change` does."""
        ...

    async def revive(self, channel: str, who: str) -> Channel:
        """Let a quarantined channel work again, its crashes forgiven.

        Raises:
            UnknownName: there is no such channel.
            JournalUnavailable: it could not be audited.
        """
        ...


def provider_routes(tuning: Tuning) -> Blueprint:
    """The routes, for an app to mount."""
    routes = Blueprint("providers", __name__)

    @routes.get("/providers", provide_automatic_options=False)
    @needs("read")
    async def show_all() -> Response:
        return json_answer(
            {
                "providers": [_provider(view) for view in tuning.providers()],
                "configuration": _file(tuning.file_status()),
            }
        )

    @routes.get("/providers/<name>", provide_automatic_options=False)
    @needs("read")
    async def show(name: str) -> Response:
        return json_answer(_provider(tuning.provider(name)))

    @routes.patch("/providers/<name>", provide_automatic_options=False)
    @needs("operate")
    async def change(name: str) -> Response:
        tuning.provider(name)
        patch = await json_body(request, unique_keys=True)
        await tuning.change(name, patch, caller())
        return json_answer(_provider(tuning.provider(name)))

    @routes.delete("/providers/<name>/override", provide_automatic_options=False)
    @needs("operate")
    async def reset(name: str) -> Response:
        await tuning.reset(name, caller())
        return json_answer(_provider(tuning.provider(name)))

    routes.register_error_handler(UnknownName, unknown_name)
    return routes


async def unknown_name(error: UnknownName) -> Response:
    """A 404 that says what there is."""
    return error_answer(404, str(error))


def _file(status: FileStatus) -> Document:
    return {
        "loadedAt": moment(status.loaded_at),
        "error": status.error,
        "atNextStart": [*status.at_next_start],
    }


def _provider(view: ProviderView) -> dict[str, object]:
    statistics = view.statistics
    return {
        "name": view.name,
        "type": view.type,
        "channels": view.channels,
        "state": state(view.limits, statistics),
        "settings": view.settings,
        "waiting": {
            "deliveries": view.waiting.deliveries,
            "oldest": _rounded(view.waiting.oldest),
            "why": statistics.hold,
            "opensIn": None if statistics.opens_in is None else _rounded(statistics.opens_in),
        },
        "inFlight": statistics.in_flight,
        "rate": [
            {"limit": window.limit, "per": written(window.per), "used": window.used}
            for window in statistics.windows
        ],
        "quota": _quota(view.limits, statistics),
        "breaker": {"state": statistics.breaker, "failures": statistics.failures_in_row},
        "errors": [
            {"kind": error.kind, "count": error.count, "text": error.text, "at": moment(error.at)}
            for error in statistics.errors
        ],
    }


def state(limits: Limits, statistics: Statistics) -> str:
    """What a provider does in one word; the operator's own wish goes before everything else."""
    if limits.paused or limits.draining:
        return "paused" if limits.paused else "draining"
    if statistics.breaker != "closed":
        return "breaker-open" if statistics.breaker == "open" else "probing"
    if statistics.paused_for > 0:
        return "throttled"
    return "out-of-quota" if statistics.quota_left == 0 else "running"


def _quota(limits: Limits, statistics: Statistics) -> Document | None:
    if limits.quota is None:
        return None
    ends = statistics.quota_ends
    return {
        "limit": limits.quota.limit,
        "left": statistics.quota_left,
        "resetsAt": None if ends is None else moment(ends.timestamp()),
    }


def _rounded(seconds: float) -> float | None:
    return round(seconds, 3) if seconds != float("inf") else None
