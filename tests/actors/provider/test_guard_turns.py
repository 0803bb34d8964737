"""Turns are fair, independent of each other, and leave nothing behind."""

from __future__ import annotations

from functools import partial

from carillon.actors.provider.guard import KeyedLock


def test_a_turn_is_one_holder_s_until_it_is_given_back() -> None:
    turns = KeyedLock()
    assert turns.take("a")
    assert not turns.take("a")
    assert turns.take("b")
    turns.give_back("a")
    assert turns.take("a")


def test_no_name_needs_no_turn() -> None:
    turns = KeyedLock()
    assert turns.take(None)
    assert turns.take(None)
    turns.give_back(None)
    assert len(turns) == 0


def test_who_waits_is_called_once_when_the_turn_is_free() -> None:
    turns, called = KeyedLock(), list[int]()
    assert turns.take("a")
    for number in range(3):
        turns.when_free("a", partial(called.append, number))
    turns.give_back("a")
    assert called == [0, 1, 2]
    assert turns.take("a")
    turns.give_back("a")
    assert called == [0, 1, 2]


def test_those_who_wait_get_the_turn_one_after_the_other_in_their_order() -> None:
    turns, got = KeyedLock(), list[int]()

    def want(number: int) -> None:
        if turns.take("a"):
            got.append(number)
        else:
            turns.when_free("a", partial(want, number))

    for number in range(4):
        want(number)
    for held in range(4):
        assert got == list(range(held + 1))
        turns.give_back("a")
    assert len(turns) == 0


def test_names_do_not_wait_for_each_other() -> None:
    turns, called = KeyedLock(), list[str]()
    for name in "ab":
        assert turns.take(name)
        turns.when_free(name, partial(called.append, name))
    turns.give_back("b")
    assert called == ["b"]


def test_nothing_is_left_behind() -> None:
    turns = KeyedLock()
    for name in map(str, range(1000)):
        assert turns.take(name)
        turns.when_free(name, lambda: None)
    assert len(turns) == 1000
    for name in map(str, range(1000)):
        turns.give_back(name)
    assert len(turns) == 0
