"""The application with all its routes and nothing behind them, for tests that look at these."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import cast

from prometheus_client import CollectorRegistry
from quart_trio import QuartTrio

from api.access import Gate
from api.app import Edge, Parts, create_app
from api.keys import ApiKey, KeyRing
from api.metrics import Metrics
from api.operations import Probes, Readiness
from api.operator_token import OperatorToken
from api.providers import Tuning
from api.told import Waiting
from messages.pipeline import Pipeline
from messages.records import Records
from messages.saga.ports import Outbox
from stores.ports import LiveSettings
from supervisor import Supervisor


def application(
    prefix: str = "", *, keys: Sequence[ApiKey] = (), in_cluster: bool = False
) -> QuartTrio:
    """An application whose business routes stand under a prefix."""
    probes = Probes("carillon", "1", lambda: Readiness(None, {}), {}, CollectorRegistry())
    parts = Parts(
        cast(Pipeline, None),
        cast(Records, None),
        probes,
        Metrics(CollectorRegistry()),
        logging.getLogger(__name__),
        cast(Tuning, None),
        cast(LiveSettings, None),
        cast(Supervisor, None),
        cast(Outbox, None),
    )
    return create_app(
        parts,
        Edge(
            1000,
            Waiting(1.0, prefix),
            Gate(KeyRing(keys), OperatorToken(), in_cluster=in_cluster),
            60.0,
        ),
    )
