"""A pool is divided by what each wants: whole calls, nothing left over, nobody favoured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.actors.capacity.ledger import PLENTY, divide

wanted = st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 60), min_size=1)


def test_who_wants_little_gets_it_and_the_others_share_the_rest() -> None:
    assert divide(100, {"a": 10, "b": 100, "c": 100}, 0) == {"a": 10, "b": 45, "c": 45}


def test_what_nobody_wants_is_there_for_whoever_comes() -> None:
    assert divide(90, {"a": 30, "b": 0, "c": 0}, 0) == {"a": 50, "b": 20, "c": 20}


def test_of_plenty_one_call_is_kept_for_who_wants_none() -> None:
    assert divide(2 * PLENTY, {"a": 99, "b": 0}, 0) == {"a": 2 * PLENTY - 1, "b": 1}
    assert divide(2 * PLENTY - 1, {"a": 99, "b": 0}, 0) == {"a": 2 * PLENTY - 1, "b": 0}


def test_a_single_call_goes_round() -> None:
    wants = {"a": 1, "b": 1, "c": 0}
    winners = [
        max(divided, key=divided.__getitem__)
        for divided in (divide(1, wants, turn) for turn in range(4))
    ]
    assert winners == ["a", "b", "a", "a"]


def test_there_may_be_nothing_and_nobody() -> None:
    assert divide(-3, {"a": 1}, 0) == {"a": 0}
    assert divide(5, {}, 3) == {}


@pytest.mark.slow
@given(total=st.integers(0, 200), wants=wanted, turn=st.integers(0, 20))
def test_all_of_it_is_given_and_fairly(total: int, wants: dict[str, int], turn: int) -> None:
    given_ = divide(total, wants, turn)
    assert sum(given_.values()) == total
    least = 1 if total >= PLENTY * len(wants) else 0
    for name, want in wants.items():
        if given_[name] < max(want, least):
            # Nobody has more than whoever wants more, but for what does not divide.
            assert all(given_[other] <= given_[name] + 1 for other in wants if other != name), (
                "somebody has more"
            )


@pytest.mark.slow
@given(total=st.integers(0, 200), wants=wanted, turn=st.integers(0, 20))
def test_it_does_not_depend_on_an_order(total: int, wants: dict[str, int], turn: int) -> None:
    assert divide(total, wants, turn) == divide(total, dict(sorted(wants.items())), turn)
