"""What several scenarios begin with."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.neighbours.kafka import Cluster, cluster
from tests.scenarios.sagas.kafka_desk import COMMANDS, EVENTS


@pytest.fixture
def brokers() -> Iterator[Cluster]:
    with cluster() as made:
        made.create(COMMANDS)
        made.create(EVENTS)
        yield made
