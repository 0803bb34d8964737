from __future__ import annotations

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.api.preferences import Preferences, preferences

NONE = Preferences()
ASYNC = Preferences(respond_async=True)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], NONE),
        ([""], NONE),
        (["wait=10"], Preferences(10)),
        (["wait=0"], Preferences(0)),
        (["WAIT = 7"], Preferences(7)),
        (['wait="7"'], Preferences(7)),
        (["respond-async"], ASYNC),
        (["Respond-Async"], ASYNC),
        (["respond-async, wait=10"], Preferences(10, respond_async=True)),
        (["wait=10;foo=1, respond-async; bar"], Preferences(10, respond_async=True)),
        (["respond-async", "wait=3"], Preferences(3, respond_async=True)),
        (["wait=1, wait=2"], Preferences(1)),
        (["return=minimal, handling=lenient"], NONE),
        (["respond-asynchronously"], NONE),
    ],
)
def test_preferences_are_read_from_all_headers(headers: list[str], expected: Preferences) -> None:
    assert preferences(headers) == expected


@pytest.mark.parametrize(
    "value",
    ["", "=", "=-1", "=+1", "=1.5", "=1e3", "=soon", "=inf", "=nan", "=\u00b2", "=\u0661", "= 1 2"],
)
def test_a_wait_that_is_no_number_of_seconds_is_ignored(value: str) -> None:
    assert preferences([f"wait{value}, respond-async"]) == ASYNC


def test_a_wait_of_any_length_is_a_number() -> None:
    assert preferences([f"wait={'9' * 50_000}"]).wait == 999_999_999


@pytest.mark.parametrize(
    ("preferred", "patience"),
    [
        (NONE, inf),
        (ASYNC, 0),
        (Preferences(5), 5),
        (Preferences(5, respond_async=True), 5),
        (Preferences(0, respond_async=True), 0),
    ],
)
def test_patience_is_the_wait_and_none_without_one(preferred: Preferences, patience: float) -> None:
    assert preferred.patience == patience


@pytest.mark.parametrize(
    ("preferred", "longest", "told"),
    [
        (ASYNC, 50, "respond-async"),
        (Preferences(5), 50, "wait=5"),
        (Preferences(5), inf, "wait=5"),
        (Preferences(5, respond_async=True), 50, "respond-async, wait=5"),
        (Preferences(50, respond_async=True), 50, "respond-async"),
    ],
)
def test_only_what_was_obeyed_is_told(preferred: Preferences, longest: float, told: str) -> None:
    assert preferred.applied(longest) == told


@given(st.lists(st.text(alphabet=st.characters(max_codepoint=255))))
def test_whatever_is_sent_is_understood_or_ignored(headers: list[str]) -> None:
    assert preferences(headers).patience >= 0
