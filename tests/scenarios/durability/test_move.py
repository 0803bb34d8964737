"""From the embedded store to MongoDB: what is repeated with a key is not sent again."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bench.carillon import Carillon, provider
from bench.children import ChildError, Server, module, warm_server
from bench.client import begin, deliveries, dispatch_counts, provider_log
from bench.store import fill_store
from bench.workload import CLUSTER, address, dispatch, user_id
from carillon.messages.model import Document
from carillon.stores.mongodb.url import MongoUrl
from tests.cli.command_line import invoke

pytestmark = pytest.mark.servers

USERS = 300
BODY = dispatch(clusters=[CLUSTER])


def ended(service: Server, key: str) -> str:
    identity = begin(service.url, BODY, key)
    deadline = time.monotonic() + 60
    while dispatch_counts(service.url, identity)[0] != "done":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return identity


def test_what_ended_is_known_and_what_was_running_goes_on(
    tmp_path: Path, mongodb: MongoUrl
) -> None:
    with warm_server(module("bench.services.slow", 0.01), tmp_path / "provider.log") as receiver:
        section = provider(receiver.url, 10, onUnknownOutcome="hold")
        carillon = Carillon(tmp_path, {"sms-service": section}, warm=True)
        fill_store(tmp_path / "filled.store", USERS)
        carillon.prepare(tmp_path / "filled.store")
        store = str(tmp_path / "carillon.db")
        with carillon.started() as service:
            first = ended(service, '"1"')
            counts = dispatch_counts(service.url, first)
            second = begin(service.url, BODY, '"2"')
            time.sleep(0.1)
            refused = invoke("store", "move", mongodb.text, "--store", store)
            assert (refused.exit_code, "in use" in refused.stderr) == (1, True)
            os.kill(service.pid, signal.SIGKILL)
        moved = invoke("store", "move", mongodb.text, "--json", "--store", store)
        assert (moved.exit_code, moved.stderr) == (0, "")
        assert json.loads(moved.stdout)["documents"]["idempotencyKeys"] == 2
        with pytest.raises(ChildError, match="has moved to"), carillon.started():
            pass
        with replace(carillon, store=mongodb.text).started() as service:
            assert ended(service, '"1"') == first
            assert dispatch_counts(service.url, first) == counts
            assert ended(service, '"2"') == second
            doubtful = set(deliveries(service.url, second, "in-doubt"))
            sent = set(deliveries(service.url, second, "sent"))
        got = provider_log(receiver.url).counts
    assert len(sent) + len(doubtful) == USERS
    assert len(doubtful) <= 10
    for index in range(USERS):
        least = 1 + (user_id(index) in sent)
        assert least <= got[address(index)] <= 2


@pytest.mark.parametrize("what", ["rate", "quota"])
def test_no_limit_is_exceeded_after_a_move(what: str, tmp_path: Path, mongodb: MongoUrl) -> None:
    reset = f"{(datetime.now(UTC) + timedelta(hours=12)).hour:02}:00"
    limits: dict[str, Document] = {
        "rate": {"rate": [{"limit": 8, "per": "1h"}]},
        "quota": {"quota": {"limit": 8, "resetAt": reset, "zone": "UTC"}},
    }
    with warm_server(module("bench.services.slow", 0.01), tmp_path / "provider.log") as receiver:
        section = provider(receiver.url, 4, **limits[what])
        carillon = Carillon(tmp_path, {"sms-service": section}, warm=True)
        fill_store(tmp_path / "filled.store", 5)
        carillon.prepare(tmp_path / "filled.store")
        with carillon.started() as service:
            ended(service, '"1"')
        moved = invoke("store", "move", mongodb.text, "--store", str(tmp_path / "carillon.db"))
        assert (moved.exit_code, moved.stderr) == (0, "")
        with replace(carillon, store=mongodb.text).started() as service:
            second = begin(service.url, BODY, '"2"')
            deadline = time.monotonic() + 60
            while dispatch_counts(service.url, second)[1].get("sent", 0) < 3:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            time.sleep(1.0)  # in which all of them would be sent
            counts = dispatch_counts(service.url, second)[1]
        assert (counts["sent"], counts["pending"]) == (3, 2)
        assert provider_log(receiver.url).counts.total() == 8
