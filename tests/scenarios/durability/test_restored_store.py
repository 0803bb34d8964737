"""A store that was put back from a copy sends nothing by itself, however old the copy is."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bench.carillon import Carillon, provider
from bench.children import ChildError, Server, module, warm_server
from bench.client import begin, dispatch_counts, provider_log
from bench.store import fill_store
from bench.workload import CLUSTER, dispatch
from tests.cli.command_line import invoke

pytestmark = pytest.mark.servers

USERS = 300
BODY = dispatch(clusters=[CLUSTER])
ITS_OWN = ("", "-wal", "-shm", "-log0", "-log1")


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Server]:
    with warm_server(module("bench.services.slow", 0.01), tmp_path / "provider.log") as running:
        yield running


@pytest.fixture
def carillon(tmp_path: Path, receiver: Server) -> Carillon:
    section = provider(receiver.url, 10, onUnknownOutcome="hold")
    folder = Carillon(tmp_path, {"sms-service": section}, warm=True)
    fill_store(tmp_path / "filled.store", USERS)
    folder.prepare(tmp_path / "filled.store")
    return folder


def copy(folder: Path, to: str) -> Path:
    """The files of the store as they lie there at this moment."""
    target = folder / to
    target.mkdir()
    for suffix in ITS_OWN:
        file = folder / f"carillon.db{suffix}"
        if file.exists():
            shutil.copy(file, target / file.name)
    return target


def restore(folder: Path, copied: Path, *, with_logs: bool) -> None:
    """Put a copy back; the logs of today stay where they are unless those of the copy are used."""
    for suffix in ITS_OWN:
        file = copied / f"carillon.db{suffix}"
        if "log" in suffix and not with_logs:
            continue
        (folder / file.name).unlink(missing_ok=True)
        if file.exists():
            shutil.copy(file, folder / file.name)


def ended(service: Server, key: str) -> str:
    identity = begin(service.url, BODY, key)
    deadline = time.monotonic() + 60
    while dispatch_counts(service.url, identity)[0] != "done":
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return identity


def kill(service: Server) -> None:
    os.kill(service.pid, signal.SIGKILL)


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def sends_nothing(carillon: Carillon, receiver: Server, before: Counter[str]) -> None:
    with carillon.started() as service:
        time.sleep(0.7)
        status, answer = get(f"{service.url}/-/ready")
        assert status == 503
        assert "carillon store resume" in answer
        status, answer = get(f"{service.url}/dispatches")
        assert status == 503
    assert provider_log(receiver.url).counts == before


@contextmanager
def moments(carillon: Carillon, folder: Path) -> Iterator[dict[str, Path]]:
    """Five copies, of a store that runs and of one that does not; more is sent after each."""
    copies: dict[str, Path] = {}
    with carillon.started() as service:
        ended(service, '"1"')
        copies["idle"] = copy(folder, "idle")
        begin(service.url, BODY, '"2"')
        time.sleep(0.05)
        copies["sending"] = copy(folder, "sending")
        ended(service, '"2"')
    copies["stopped"] = copy(folder, "stopped")
    with carillon.started() as service:
        begin(service.url, BODY, '"3"')
        time.sleep(0.1)
        kill(service)
    copies["killed"] = copy(folder, "killed")
    with carillon.started() as service:
        ended(service, '"3"')
        ended(service, '"4"')
        copies["at the end"] = copy(folder, "end")
        ended(service, '"5"')
        kill(service)
    yield copies


@pytest.mark.parametrize("with_logs", [True, False], ids=["its logs", "the logs of today"])
def test_it_sends_nothing_by_itself(
    carillon: Carillon, receiver: Server, tmp_path: Path, *, with_logs: bool
) -> None:
    with moments(carillon, tmp_path) as copies:
        before = provider_log(receiver.url).counts
        today = copy(tmp_path, "today")
        mark = (tmp_path / ".carillon.db-mark").read_bytes()
        for name, copied in copies.items():
            print(name)  # noqa: T201 - which one it was, should this fail
            restore(tmp_path, today, with_logs=True)
            (tmp_path / ".carillon.db-mark").write_bytes(mark)
            restore(tmp_path, copied, with_logs=with_logs)
            sends_nothing(carillon, receiver, before)


def test_nor_does_a_copy_at_a_new_place(
    carillon: Carillon, receiver: Server, tmp_path: Path
) -> None:
    with carillon.started() as service:
        begin(service.url, BODY, '"1"')
        time.sleep(0.1)
        copied = copy(tmp_path, "sending")
        ended(service, '"1"')
    before = provider_log(receiver.url).counts
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    restore(elsewhere, copied, with_logs=True)
    there = Carillon(elsewhere, carillon.providers, warm=True)
    there.configure()
    sends_nothing(there, receiver, before)


def test_what_was_sent_before_the_copy_is_not_sent_again_once_it_is_resumed(
    carillon: Carillon, receiver: Server, tmp_path: Path
) -> None:
    store = str(tmp_path / "carillon.db")
    with carillon.started() as service:
        ended(service, '"1"')
        begin(service.url, BODY, '"2"')
        time.sleep(0.1)
        result = invoke("store", "backup", str(tmp_path / "backup.db"), "--store", store)
        assert result.exit_code == 0, result.stderr
        ended(service, '"2"')
    before = provider_log(receiver.url).counts
    shutil.copy(tmp_path / "backup.db", store)
    with carillon.started() as service:
        told = invoke("store", "check", "--store", store)
        assert (told.exit_code, "May be sent twice" in told.stdout) == (1, True)
        refused = invoke("store", "resume", "--store", store)
        assert (refused.exit_code, "--yes" in refused.stderr) == (2, True)
        assert get(f"{service.url}/-/ready")[0] == 503
        resumed = invoke("store", "resume", "--yes", "--store", store)
        assert (resumed.exit_code, "pending" in resumed.stdout) == (0, True)
        again = Server(listens_again(tmp_path / "carillon.log"), service.pid)
        second = ended(again, '"2"')
        assert sum(dispatch_counts(again.url, second)[1].values()) == USERS
        third = provider_log(receiver.url).counts
        ended(again, '"1"')
    twice = third - before
    assert 0 < len(twice) < USERS
    assert set(twice.values()) == {1}
    assert provider_log(receiver.url).counts == third  # the key of the first is known


@pytest.mark.parametrize("harm", ["deleted", "emptied", "flipped"])
def test_a_log_that_lost_something_stops_the_start_and_nothing_is_doubled(
    carillon: Carillon, receiver: Server, tmp_path: Path, harm: str
) -> None:
    store = str(tmp_path / "carillon.db")
    with carillon.started() as service:
        begin(service.url, BODY, '"1"')
        time.sleep(0.3)
        kill(service)
    harmed([tmp_path / "carillon.db-log0", tmp_path / "carillon.db-log1"], harm)
    checked = json.loads(invoke("store", "check", "--json", "--store", store).stdout)
    if checked["redoLog"] is not None:  # else the tables had all of it
        with pytest.raises(ChildError, match=r"carillon store repair"), carillon.started():
            pass
        assert invoke("store", "repair", "--yes", "--store", store).exit_code == 0
    before = provider_log(receiver.url).counts
    with carillon.started() as service:
        ended(service, '"1"')
    twice = sum(number - 1 for number in provider_log(receiver.url).counts.values())
    assert twice <= (checked["pending"] if checked["redoLog"] else 0)
    assert provider_log(receiver.url).counts.keys() > before.keys()


def harmed(logs: list[Path], harm: str) -> None:
    for log in logs:
        if harm == "deleted":
            log.unlink()
        elif harm == "emptied":
            os.truncate(log, 0)
        else:
            content = bytearray(log.read_bytes())
            for at in range(100, len(content.rstrip(b"\0")), 200):
                content[at] ^= 1
            log.write_bytes(content)


def listens_again(log: Path) -> str:
    """The address of a service that was resumed."""
    deadline = time.monotonic() + 30
    while True:
        _, _, after = log.read_text().partition("resumed")
        if found := re.search(r"listening on (http://[0-9.:]+)", after):
            return found[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)
