"""The application with all its routes and nothing behind them, for tests that look at these."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import cast

from prometheus_client import CollectorRegistry
from quart_trio import QuartTrio

from carillon.access.keys import ApiKey, KeyRing
from carillon.access.operator_token import OperatorToken
from carillon.api.access import Gate
from carillon.api.app import Edge, Parts, create_app
from carillon.api.operations import Probes, Readiness
from carillon.api.providers import Tuning
from carillon.api.snapshot import Waiting
from carillon.dispatches.service import DispatchService
from carillon.messages.ports.outbox import Outbox
from carillon.messages.ports.records import Records
from carillon.stores.ports import LiveSettings
from carillon.supervisor import Supervisor
from carillon.telemetry.metrics import Metrics


def application(
    prefix: str = "", *, keys: Sequence[ApiKey] = (), in_cluster: bool = False
) -> QuartTrio:
    """An application whose business routes stand under a prefix."""
    probes = Probes("carillon", "1", lambda: Readiness(None, {}), {}, CollectorRegistry())
    parts = Parts(
        cast(DispatchService, None),
        cast(Records, None),
        probes,
        Metrics(CollectorRegistry()),
        logging.getLogger(__name__),
        cast(Tuning, None),
        cast(LiveSettings, None),
        cast(Supervisor, None),
        cast(Outbox, None),
    )
    whole = create_app(
        parts,
        Edge(
            1000,
            Waiting(1.0, prefix),
            Gate(KeyRing(keys), OperatorToken(), in_cluster=in_cluster),
            60.0,
        ),
    )
    return whole.all_routes
