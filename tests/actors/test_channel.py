"""Crashes count for a while, in all for ever, and can be forgiven."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from carillon.actors.channel import RestartIntensity


async def test_more_than_are_tolerated_within_the_window_are_too_many(
    mock_clock: MockClock,
) -> None:
    crashes, too_many = RestartIntensity(2, 30), list[bool]()
    for _ in range(3):
        crashes.add()
        too_many.append(crashes.too_many)
        mock_clock.jump(10)
    assert too_many == [False, False, True]
    assert crashes.recent == 3


async def test_old_ones_are_forgotten_but_counted(mock_clock: MockClock) -> None:
    crashes = RestartIntensity(0, 30)
    crashes.add()
    mock_clock.jump(30)
    assert crashes.recent == 1
    mock_clock.jump(0.1)
    assert (crashes.recent, crashes.total) == (0, 1)
    assert not crashes.too_many


async def test_forgiving_begins_anew(mock_clock: MockClock) -> None:
    crashes = RestartIntensity(0, 30)
    crashes.add()
    crashes.forgive()
    await trio.lowlevel.checkpoint()
    assert (crashes.recent, crashes.total, crashes.too_many) == (0, 1, False)
