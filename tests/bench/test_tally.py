"""What did not arrive, arrived twice or at somebody else is seen."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from bench.workload import Counting, Tally, WrongResultError, message_bytes


def tally_of(*numbers: int) -> Tally:
    counting = Counting()
    for number in numbers:
        counting.add(message_bytes(number))
    return Tally(**json.loads(counting.take()))


def test_each_once_is_right() -> None:
    tally_of(0, 2, 1).check_each_once(3)


@pytest.mark.parametrize("users", [2, 3])
def test_a_message_that_came_twice_is_seen(users: int) -> None:
    with pytest.raises(WrongResultError):
        tally_of(0, 1, 1).check_each_once(users)


def test_a_user_who_was_left_out_is_seen() -> None:
    with pytest.raises(WrongResultError):
        tally_of(0, 2).check_each_once(2)


def test_messages_besides_count() -> None:
    tally_of(0, 3, 1, 2, 3).check_each_once(2, besides=[2, 3, 3])


@pytest.mark.parametrize("besides", [[2], [2, 2], [2, 3, 3]])
def test_messages_besides_that_are_missing_are_seen(besides: Sequence[int]) -> None:
    with pytest.raises(WrongResultError):
        tally_of(0, 1, 2, 3).check_each_once(2, besides)


def test_taking_begins_anew() -> None:
    counting = Counting()
    counting.add(message_bytes(0))
    counting.take()
    assert counting.count == 0
    assert json.loads(counting.take())["requests"] == 0
