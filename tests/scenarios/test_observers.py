"""Whatever telemetry does, the same is sent, counted, kept and answered."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import trio

from carillon.messages.events import Event
from carillon.messages.model import Delivery, Document
from tests.running import Running, running

USERS: list[Document] = [
    {"_id": "ada", "emailAddress": "ada@example.com", "phoneNumber": "+393331234567"},
    {"_id": "bob", "emailAddress": "bob+refuse@example.com"},
    {"_id": "eve", "emailAddress": "eve+crash@example.com"},
    {"_id": "joe", "emailAddress": "joe+fail@example.com"},
]
QUICK: Document = {
    "retry": {"attempts": 3, "firstDelay": "1ms", "maxDelay": "2ms"},
    "breaker": {"failures": 1000},
    "type": "sandbox",
}
CONFIGURATION: Document = {
    "activeChannels": ["email", "sms"],
    "sender": {"email": "shop@example.com", "sms": "Shop"},
    "channels": {"email": {"providers": ["mails"]}, "sms": {"providers": ["texts"]}},
    "providers": {"mails": QUICK, "texts": QUICK},
}


def raises(_: object) -> None:
    raise ValueError("a bug of telemetry")


async def told(
    folder: Path,
    observer: Callable[[Event], None] = lambda _: None,
    hears: Callable[[Delivery], None] | None = None,
    log: io.StringIO | None = None,
) -> list[object]:
    """What a service answers and has on record of one dispatch, and of its repeat."""
    await trio.Path(folder).mkdir()
    async with running(
        folder, CONFIGURATION, users=USERS, observers=[observer], hears=hears, log=log
    ) as at:
        return [await answers(at), await answers(at)]


async def answers(at: Running) -> list[object]:
    names = ["ada", "bob", "eve", "joe", "nobody"]
    sent = await at.send(channels=["email", "sms"], recipients=names)
    address = f"/dispatches/{sent.headers['Dispatch-Id']}"
    dispatch = (await at.client.get(address)).json()
    rows = (await at.client.get(f"{address}/deliveries")).json()["deliveries"]
    metrics = (await at.client.get("/-/metrics")).text
    kept = [
        tuple(row[name] for name in ("userId", "channel", "outcome", "reason", "attempts"))
        for row in rows
    ]
    counted = sorted(
        line
        for line in metrics.splitlines()
        if line.startswith(("carillon_deliveries", "carillon_attempts", "carillon_worker"))
    )
    failures = sorted(map(str, sent.json()["failures"]))
    return [sent.status_code, failures, dispatch["state"], dispatch["counts"], kept, counted]


async def test_observers_that_always_raise_change_no_outcome_no_count_and_no_answer(
    tmp_path: Path,
) -> None:
    usual = await told(tmp_path / "usual")
    assert usual[0] != usual[1]  # metrics go on counting
    assert await told(tmp_path / "raising", raises, raises) == usual


async def test_a_log_that_cannot_be_written_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = await told(tmp_path / "usual")
    closed, errors = io.StringIO(), io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", errors)
    assert await told(tmp_path / "closed", log=closed) == usual
    assert errors.getvalue() == ""
    errors.close()
    assert await told(tmp_path / "all-closed", raises, log=closed) == usual


async def test_what_an_observer_raises_is_logged_and_does_not_flood_the_log(
    tmp_path: Path,
) -> None:
    async with running(
        tmp_path, CONFIGURATION, users=USERS, observers=[raises], hears=raises
    ) as at:
        for _ in range(10):
            await at.send(channels=["sms"], recipients=["ada"])
        lines = [line for line in at.log_lines if line["msg"] == "observer failed"]
    by_kind = {
        kind: [one["failures"] for one in lines if one["event"] == kind]
        for kind in ("DeliveryEnded", "AttemptEnded", "Delivery")
    }
    assert by_kind == {kind: [1, 2, 4, 8] for kind in by_kind}
    assert "a bug of telemetry" not in at.log.getvalue()  # its words may quote anything
