"""What live settings in a store promise: durable with their audit, or not there at all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import trio

from carillon.messages.errors import BadCommand
from carillon.messages.model import Document
from carillon.stores.ports import LiveSettings
from tests.stores.shelves import Shelf, entry


@pytest.fixture
def store(shelf: Shelf) -> Iterator[LiveSettings]:
    with shelf.settings() as opened:
        yield opened


async def test_an_override_survives_a_restart(store: LiveSettings, shelf: Shelf) -> None:
    override: Document = {"concurrency": 5, "rate": [{"limit": 1, "per": "1s"}], "paused": True}
    await store.change("sms-service", override, entry(concurrency=5))

    with shelf.settings() as again:
        assert await again.overrides() == {"sms-service": override}
        assert (await again.audit(None, "", 10)).entries == [entry(concurrency=5)]


async def test_the_last_change_of_a_provider_holds_and_others_stay(store: LiveSettings) -> None:
    await store.change("a", {"concurrency": 1}, entry())
    await store.change("b", {"concurrency": 2}, entry())
    await store.change("a", {"timeout": "1s"}, entry())

    assert await store.overrides() == {"a": {"timeout": "1s"}, "b": {"concurrency": 2}}


async def test_an_empty_override_is_none(store: LiveSettings) -> None:
    await store.change("a", {"concurrency": 1}, entry(1))
    await store.change("a", {}, entry(2))

    assert await store.overrides() == {}
    assert len((await store.audit(None, "", 10)).entries) == 2


async def test_the_audit_is_newest_first_a_page_at_a_time(store: LiveSettings) -> None:
    for number in range(5):
        await store.change(
            "a" if number % 2 else "b", {}, entry(number, "a" if number % 2 else "b")
        )

    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        page = await store.audit(None, cursor, 2)
        seen += [one.at % 100 for one in page.entries]
        cursor = page.next
    assert seen == [4, 3, 2, 1, 0]
    assert [one.at % 100 for one in (await store.audit("b", "", 2)).entries] == [4, 2]
    assert (await store.audit("nobody", "", 2)).entries == []


async def test_a_page_stays_what_it_was_while_changes_come(store: LiveSettings) -> None:
    for number in range(3):
        await store.record([entry(number)])
    first = await store.audit(None, "", 2)
    await store.record([entry(9)])

    assert first.next
    assert [one.at % 100 for one in (await store.audit(None, first.next, 2)).entries] == [0]


@pytest.mark.parametrize("cursor", ["x", "-1", "1.5", "9" * 40, "\u0661"])
async def test_a_cursor_of_somebody_else_is_refused(store: LiveSettings, cursor: str) -> None:
    with pytest.raises(BadCommand, match="cursor"):
        await store.audit(None, cursor, 10)


async def test_changes_at_once_are_all_kept(store: LiveSettings) -> None:
    async with trio.open_nursery() as nursery:
        for number in range(20):
            override: Document = {"concurrency": number + 1}
            nursery.start_soon(store.change, f"p{number}", override, entry())

    assert len(await store.overrides()) == 20
    assert len((await store.audit(None, "", 100)).entries) == 20


async def test_entries_without_an_override_are_written(store: LiveSettings) -> None:
    await store.record([])
    await store.record([entry(1), entry(2, provider=None)])
    await store.record([entry(4)])

    assert [one.at % 100 for one in (await store.audit(None, "", 10)).entries] == [4, 2, 1]
    assert [one.provider for one in (await store.audit(None, "", 10)).entries][1] is None
    assert await store.overrides() == {}


async def test_names_and_numbers_of_every_kind_are_kept(store: LiveSettings) -> None:
    override: Document = {"a.b": {"$c": None}, "big": 10**30, "half": 0.5, "yes": True, "": [[]]}
    await store.change("sms.service", override, entry(1, "sms.service", a=10**30))

    assert await store.overrides() == {"sms.service": override}
    assert (await store.audit("sms.service", "", 10)).entries == [entry(1, "sms.service", a=10**30)]
