"""Probes and metrics: what orchestrators and dashboards ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from quart import Blueprint, Response

from carillon.api.access import needs, open_to_all
from carillon.api.answers import json_answer
from carillon.api.checkup import Check, CheckUp


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether to send requests here, and why not."""

    reason: str | None
    channels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Probes:
    """What the probes ask the service."""

    name: str
    version: str
    readiness: Callable[[], Readiness]
    neighbours: Mapping[str, Check]
    registry: CollectorRegistry


def operation_routes(probes: Probes) -> Blueprint:
    """`/-/healthz`, `/-/ready`, `/-/check-up` and `/-/metrics`, for an app to mount."""
    ask = CheckUp(probes.neighbours)
    routes = Blueprint("operations", __name__, url_prefix="/-")

    def status(reason: str | None, **fields: object) -> Response:
        body: dict[str, object] = {
            "name": probes.name,
            "version": probes.version,
            "status": "OK" if reason is None else "KO",
        }
        if reason is not None:
            body["message"] = reason
        return json_answer({**body, **fields}, 200 if reason is None else 503)

    @routes.get("/healthz", provide_automatic_options=False)
    @open_to_all
    async def healthz() -> Response:
        return status(None)

    @routes.get("/ready", provide_automatic_options=False)
    @open_to_all
    async def ready() -> Response:
        readiness = probes.readiness()
        return status(readiness.reason, channels=readiness.channels)

    @routes.get("/check-up", provide_automatic_options=False)
    @open_to_all
    async def check_up() -> Response:
        found = await ask()
        wrong = [f"{name}: {what}" for name, what in found.items() if what is not None]
        return status(
            "; ".join(wrong) or None,
            neighbours={name: what or "OK" for name, what in found.items()},
        )

    @routes.get("/metrics", provide_automatic_options=False)
    @needs("read", open_without_keys=True)
    async def metrics() -> Response:
        return Response(generate_latest(probes.registry), content_type=CONTENT_TYPE_LATEST)

    return routes
