"""A store that an older version left, killed in the middle of a dispatch, is taken up and read.

`store_of_6fd04de.tar.xz` was written by the version of commit 6fd04de: forty users, a dispatch that
ended, a live setting, and one that was killed with three calls open after twelve had ended.
"""

from __future__ import annotations

import tarfile
import time
from collections import Counter
from pathlib import Path

import pytest

from bench.carillon import Carillon, provider
from bench.children import module, warm_server
from bench.client import begin, deliveries, dispatch_counts, provider_log

pytestmark = pytest.mark.servers

LEFT = Path(__file__).with_name("store_of_6fd04de.tar.xz")
KILLED = {"channels": ["sms"], "clusters": ["all"], "messageTitle": "t", "messageContent": "killed"}


def test_a_store_of_an_older_version_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    with tarfile.open(LEFT) as archive:
        archive.extractall(tmp_path, filter="data")
    with warm_server(module("bench.services.slow", 0.01), tmp_path / "provider.log") as receiver:
        section = provider(receiver.url, 2, onUnknownOutcome="hold")
        carillon = Carillon(tmp_path, {"sms-service": section}, warm=True)
        carillon.configure()
        with carillon.started() as service:
            identity = begin(service.url, KILLED, "killed")  # its key is remembered, too
            deadline = time.monotonic() + 60
            while dispatch_counts(service.url, identity)[0] != "done":
                assert time.monotonic() < deadline
                time.sleep(0.02)
            counts = dispatch_counts(service.url, identity)[1]
            in_doubt = set(deliveries(service.url, identity, "in-doubt"))
        calls = provider_log(receiver.url).counts
    assert counts == Counter({"sent": 37, "in-doubt": 3})
    assert len(in_doubt) == 3
    assert sum(calls.values()) == len(calls) == 25  # the twelve of before are not sent again
