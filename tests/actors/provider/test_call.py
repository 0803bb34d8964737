"""Who ends calls that take too long, and what it does when time was lost."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from carillon.actors.provider.call import GRACE, LATE, DeadlineWatch
from tests.actors.fakes import Script, envelope
from tests.actors.workshop import guard


async def watched(clock: MockClock, leap: float) -> tuple[bool, bool]:
    """Whether a call is cancelled as time leaps over its deadline, and a grace later."""
    timekeeper, it = DeadlineWatch(), guard("p", Script())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timekeeper.run)
        scope = trio.CancelScope()
        call = it.call(envelope("a"), it.permit(None))
        timekeeper.open(call, scope)
        await wait_all_tasks_blocked()
        clock.jump(30.0 + leap)
        await wait_all_tasks_blocked()
        at_once = scope.cancel_called
        clock.jump(GRACE)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
        return at_once, scope.cancel_called
    raise AssertionError


@pytest.mark.parametrize(
    ("leap", "cancelled"), [(0.0, (True, True)), (LATE * 2, (False, True)), (3600.0, (False, True))]
)
async def test_after_a_leap_answers_that_came_meanwhile_are_read_first(
    mock_clock: MockClock, leap: float, cancelled: tuple[bool, bool]
) -> None:
    assert await watched(mock_clock, leap) == cancelled
