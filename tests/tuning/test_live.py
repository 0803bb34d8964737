"""Live tuning: durable with its audit, then in force, and nothing in between."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from carillon.actors.provider.breaker import BreakerSettings
from carillon.actors.provider.limits import Limits
from carillon.api.providers import UnknownName
from carillon.messages.errors import BadCommand, JournalUnavailable
from carillon.messages.model import Document, JsonValue
from carillon.stores.ports import AuditEntry
from tests.tuning.tuning_office import NOW, Memory, office


async def test_a_change_is_in_force_kept_audited_and_shown() -> None:
    at = office(concurrency=20)
    await at.tuning.change("first", {"concurrency": 5, "timeout": "5s"}, "key-1")

    assert (at.limits().concurrency, at.limits().timeout) == (5, 5.0)
    assert at.limits("second") == Limits()
    assert at.store.kept == {"first": {"concurrency": 5, "timeout": "5s"}}
    assert at.store.entries == [
        AuditEntry(
            at=round(NOW * 1000),
            who="key-1",
            action="change",
            provider="first",
            before={"concurrency": 20, "timeout": "30s"},
            after={"concurrency": 5, "timeout": "5s"},
        )
    ]
    assert at.view().settings["concurrency"] == {"value": 5, "source": "override"}
    assert at.view().settings["rate"] == {"value": [], "source": "default"}


async def test_what_is_not_named_stays_and_null_lets_the_file_hold_again() -> None:
    at = office(concurrency=20)
    await at.tuning.change("first", {"concurrency": 5, "paused": True}, "a")
    await at.tuning.change("first", {"concurrency": None}, "b")

    assert (at.limits().concurrency, at.limits().paused) == (20, True)
    assert at.view().settings["concurrency"] == {"value": 20, "source": "file"}
    assert at.store.kept == {"first": {"paused": True}}
    assert (at.store.entries[-1].before, at.store.entries[-1].after) == (
        {"concurrency": 5},
        {"concurrency": 20},
    )


async def test_a_reset_takes_everything_away() -> None:
    at = office(concurrency=20)
    await at.tuning.change("first", {"concurrency": 5, "paused": True}, "a")
    await at.tuning.reset("first", "b")

    assert at.limits() == Limits()
    assert at.store.kept == {"first": {}}
    assert at.store.entries[-1].action == "reset"
    assert at.store.entries[-1].after == {"concurrency": 20, "paused": False}


async def test_what_changes_nothing_is_not_audited() -> None:
    at = office()
    await at.tuning.reset("first", "a")
    await at.tuning.change("first", {"rate": None}, "a")

    assert at.store.entries == []


async def test_a_restart_finds_what_was_set() -> None:
    store = Memory()
    await office(store).tuning.change("first", {"paused": True, "weight": 3}, "a")
    again = office(store)
    assert not again.limits().paused

    await again.tuning.restore()

    assert again.limits().paused
    assert again.order() == [("first", 3), ("second", None)]


async def test_an_override_that_is_not_valid_any_more_is_refused_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    at = office(Memory({"first": {"concurrency": 0, "paused": True}}))
    await at.tuning.restore()

    assert at.limits() == Limits(paused=True)
    assert "override of first is not used: concurrency: 0 is not allowed" in caplog.text


async def test_an_override_of_a_provider_that_is_gone_is_kept_and_unused() -> None:
    store = Memory({"gone": {"paused": True}})
    at = office(store)
    await at.tuning.restore()

    assert [view.name for view in at.tuning.providers()] == ["first", "second"]
    assert store.kept == {"gone": {"paused": True}}
    with pytest.raises(UnknownName, match="known here: first, second"):
        await at.tuning.reset("gone", "a")


@pytest.mark.parametrize("patch", [{}, {"concurrency": 5, "timeout": "soon"}, [], {"nobody": 1}])
async def test_a_bad_change_is_refused_as_a_whole(patch: JsonValue) -> None:
    at = office()
    with pytest.raises(BadCommand):
        await at.tuning.change("first", patch, "a")

    assert at.limits() == Limits()
    assert (at.store.kept, at.store.entries) == ({}, [])


async def test_what_cannot_be_kept_is_not_in_force() -> None:
    at = office(Memory(fails=True))
    for change in ({"concurrency": 5}, {"breaker": "closed"}):
        with pytest.raises(JournalUnavailable):
            await at.tuning.change("first", change, "a")
    assert at.limits() == Limits()

    at.store.fails = False
    await at.tuning.change("first", {"paused": True}, "a")
    assert at.limits() == Limits(paused=True)


async def test_a_caller_who_hangs_up_leaves_store_and_guard_alike() -> None:
    at = office(Memory(gate=trio.Event()))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(at.tuning.change, "first", {"concurrency": 5}, "a")
        await wait_all_tasks_blocked()
        assert at.limits() == Limits()
        nursery.cancel_scope.cancel()
        assert at.store.gate is not None
        at.store.gate.set()

    assert at.store.kept == {"first": {"concurrency": 5}}
    assert at.limits().concurrency == 5


async def test_changes_at_once_are_all_kept() -> None:
    at = office()
    changes: list[Document] = [{"concurrency": 5}, {"timeout": "1s"}, {"paused": True}]
    async with trio.open_nursery() as nursery:
        for change in changes:
            nursery.start_soon(at.tuning.change, "first", change, "a")

    assert at.limits() == Limits(concurrency=5, timeout=1.0, paused=True)
    assert at.store.kept["first"] == {"concurrency": 5, "timeout": "1s", "paused": True}
    assert len(at.store.entries) == 3


async def test_a_weight_arranges_the_route_anew_and_other_keys_do_not() -> None:
    at = office()
    before = at.route.choices
    await at.tuning.change("second", {"concurrency": 5}, "a")
    assert at.route.choices is before

    await at.tuning.change("second", {"weight": 7}, "a")
    assert at.order() == [("first", None), ("second", 7)]


async def test_a_breaker_is_closed_by_an_operator(autojump_clock: MockClock) -> None:
    at = office(breaker={"failures": 1, "cooldown": "1h"})
    guard = at.guards["first"]
    guard._breaker.failed()
    assert at.view().statistics.breaker == "open"

    await at.tuning.change("first", {"breaker": "closed"}, "a")

    assert at.view().statistics.breaker == "closed"
    assert at.limits().breaker == BreakerSettings(1, 3600.0)
    assert at.store.kept == {"first": {}}
    assert (at.store.entries[0].before, at.store.entries[0].after) == (
        {"breaker": "open"},
        {"breaker": "closed"},
    )


async def test_a_quarantined_channel_is_revived_and_audited() -> None:
    at = office()
    assert await at.tuning.revive("sms", "key-1") == "sms"

    assert at.store.entries == [
        AuditEntry(
            round(NOW * 1000),
            "key-1",
            "revive",
            None,
            {"channel": "sms", "state": "running"},
            {"channel": "sms", "state": "running"},
        )
    ]
    with pytest.raises(UnknownName, match="known here: sms"):
        await at.tuning.revive("fax", "key-1")
