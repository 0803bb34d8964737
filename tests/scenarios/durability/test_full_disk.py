"""A disk that fills anywhere in the middle of a dispatch, and frees: nothing is lost or doubled."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from bench.carillon import Carillon, provider
from bench.children import Server, module, warm_server
from bench.client import begin, deliveries, dispatch_counts, provider_log
from bench.store import fill_store
from bench.workload import CLUSTER, WrongResultError, address, dispatch, user_id

pytestmark = [
    pytest.mark.servers,
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="needs prlimit"),
]

USERS = 120
BODY = dispatch(clusters=[CLUSTER])
POSITIONS = 20
FURTHEST = 160_000
"""Bytes of the files that are written, up to which they are full somewhere."""
UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Server]:
    with warm_server(module("bench.services.slow", 0.005), tmp_path / "provider.log") as running:
        yield running


@pytest.fixture
def carillon(tmp_path: Path, receiver: Server) -> Carillon:
    section = provider(receiver.url, 10, onUnknownOutcome="hold")
    folder = Carillon(tmp_path, {"sms-service": section}, warm=True)
    fill_store(tmp_path / "filled.store", USERS)
    folder.prepare(tmp_path / "filled.store")
    return folder


@contextmanager
def full_beyond(pid: int, size: int) -> Iterator[None]:
    """No file of the process grows beyond a size, as on a full disk, within the body."""
    resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        if Path(f"/proc/{pid}").exists():
            resource.prlimit(pid, resource.RLIMIT_FSIZE, UNLIMITED)


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def tried(url: str, key: str) -> list[str]:
    """The dispatch of a key, or none when the service says that it must be tried later."""
    try:
        return [begin(url, BODY, key)]
    except WrongResultError as error:
        if "503" not in str(error):
            raise
        return []


def accepted(url: str, key: str) -> str:
    """The dispatch of a key, once it is accepted; until then the same request is repeated."""
    found: list[str] = []

    def is_accepted() -> bool:
        found.extend(tried(url, key))
        return bool(found)

    until(is_accepted)
    return found[0]


def check(url: str, receiver: Server, dispatches: list[str]) -> None:
    """Each was sent once, or is in doubt; nothing more reached anybody."""
    for one in dispatches:
        until(lambda one=one: dispatch_counts(url, one)[0] == "done")  # type: ignore[misc]
    sent = [set(deliveries(url, one, "sent")) for one in dispatches]
    doubtful = [set(deliveries(url, one, "in-doubt")) for one in dispatches]
    got = provider_log(receiver.url).counts
    for index in range(USERS):
        surely = sum(user_id(index) in one for one in sent)
        perhaps = sum(user_id(index) in one for one in doubtful)
        assert surely + perhaps == len(dispatches)
        assert surely <= got[address(index)] <= surely + perhaps


def test_nothing_is_lost_or_doubled_wherever_it_fills(carillon: Carillon, receiver: Server) -> None:
    dispatches: list[str] = []
    with carillon.started() as service:
        for position in range(POSITIONS):
            size = position * FURTHEST // POSITIONS
            with full_beyond(service.pid, size):
                tried(service.url, f'"{position}"')
                time.sleep(0.1)
            dispatches.append(accepted(service.url, f'"{position}"'))
        check(service.url, receiver, dispatches)
        assert all(not list(deliveries(service.url, one, "in-doubt")) for one in dispatches)


def test_nor_where_the_process_is_killed_while_it_is_full(
    carillon: Carillon, receiver: Server
) -> None:
    draw, dispatches = Random(7), []
    for position in range(6):
        with carillon.started() as service:
            accepted(service.url, f'"{position}"')
            with full_beyond(service.pid, draw.randrange(8_000, 100_000)):
                time.sleep(draw.uniform(0.0, 0.1))
                os.kill(service.pid, signal.SIGKILL)
        with carillon.started() as service:
            dispatches.append(accepted(service.url, f'"{position}"'))
            check(service.url, receiver, dispatches)


@pytest.mark.parametrize("size", [400_000, 1_000_000, 1_900_000])
def test_nor_where_there_was_no_room_for_the_log_when_it_was_made(
    carillon: Carillon, receiver: Server, size: int
) -> None:
    """Also when it is there at the next start: what is in the log is not written over."""
    command = ["bash", "-c", f"ulimit -f {size // 1024}; exec {' '.join(carillon.command)}"]
    with replace(carillon, warm=False).started(command) as service:
        first = begin(service.url, BODY, '"1"')
        time.sleep(0.15)
        os.kill(service.pid, signal.SIGKILL)
    with carillon.started() as service:
        check(service.url, receiver, [first])
