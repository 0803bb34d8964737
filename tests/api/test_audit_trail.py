"""A change stands in the audit when it is made, and a refused one is not told as done."""

from __future__ import annotations

import pytest

from carillon.api.audit import Trail, telling_of_failure
from carillon.messages.errors import Conflict, JournalUnavailable
from carillon.messages.model import Document
from tests.tuning.tuning_office import Memory

WHAT: Document = {"dispatch": "d"}


def trail(store: Memory) -> Trail:
    return Trail(store, "redrive", WHAT, {"state": "done"}, {"outcome": ["failed"]}, "ada")


async def change(one: Trail, failure: Exception, broken: Memory | None = None) -> None:
    """A change that is recorded, and fails then; the store breaks with it if there is one."""
    async with telling_of_failure(one):
        await one.begin()
        if broken is not None:
            broken.fails = True
        raise failure


async def test_what_is_made_has_one_entry_that_names_it() -> None:
    store = Memory()
    one = trail(store)
    async with telling_of_failure(one):
        await one.begin()
    [entry] = store.entries
    assert (entry.who, entry.action, entry.provider) == ("ada", "redrive", None)
    assert entry.before == {"dispatch": "d", "state": "done"}
    assert entry.after == {"dispatch": "d", "outcome": ["failed"]}


async def test_what_is_refused_before_it_begins_has_none() -> None:
    store = Memory()
    with pytest.raises(Conflict):
        async with telling_of_failure(trail(store)):
            raise Conflict("It still runs")
    assert store.entries == []


async def test_what_fails_after_all_is_told_as_failed() -> None:
    store = Memory()
    with pytest.raises(JournalUnavailable):
        await change(trail(store), JournalUnavailable("The disk is full"))
    assert [entry.action for entry in store.entries] == ["redrive", "redrive-failed"]
    assert store.entries[1].before == {"dispatch": "d", "state": "done"}
    assert store.entries[1].after == {"dispatch": "d", "error": "The disk is full"}


async def test_what_cannot_be_recorded_is_not_begun() -> None:
    store = Memory(fails=True)
    one = trail(store)
    with pytest.raises(JournalUnavailable):
        await change(one, AssertionError("it went on"))
    assert not one.is_begun
    assert store.entries == []


async def test_a_failure_that_cannot_be_recorded_hides_none() -> None:
    store = Memory()
    with pytest.raises(Conflict):
        await change(trail(store), Conflict("It has ended"), store)
    assert len(store.entries) == 1
