"""Durations: what is written is read again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.messages.durations import in_words, seconds, written

UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (0.0, "0"),
        (0.0005, "0.5ms"),
        (0.3, "300ms"),
        (1.5, "1500ms"),
        (60.0, "1m"),
        (90.0, "90s"),
        (7200.0, "2h"),
        (2_592_000.0, "30d"),
        (2_592_000.5, "2592000.5s"),
    ],
)
def test_a_duration_is_written_in_its_largest_whole_unit(amount: float, text: str) -> None:
    assert written(amount) == text
    assert seconds(text) == amount


@pytest.mark.slow
@given(
    number=st.decimals(min_value=0, max_value=999_999_999, places=3, allow_nan=False),
    unit=st.sampled_from(sorted(UNITS)),
)
def test_every_duration_that_can_be_read_can_be_written(number: object, unit: str) -> None:
    try:
        amount = seconds(f"{number}{unit}")
    except ValueError:
        return  # longer than ten years

    assert seconds(written(amount)) == pytest.approx(amount, abs=0.0005 if amount > 1e6 else 1e-6)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        (86_400.0, "1 day"),
        (2_592_000.0, "30 days"),
        (5400.0, "90 minutes"),
        (1.0, "1 second"),
        (1.5, "1500ms"),
        (0.0, "0"),
    ],
)
def test_a_sentence_has_a_duration_in_words(amount: float, words: str) -> None:
    assert in_words(amount) == words
