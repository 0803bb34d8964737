"""What a provider asks one replica for, all of them heed, those that come later too."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
import trio
from trio.testing import MockClock

from carillon.actors.capacity.ledger import LeaseLedger, Pause, ledger_text, parse_ledger
from carillon.actors.capacity.renewal import AWAY, PausesOnBoard, ShareRenewer
from carillon.actors.provider.guard import Guard
from carillon.actors.provider.limits import Limits
from tests.actors.capacity.boards import PROVIDER, Board, wall
from tests.actors.fakes import Script, ignore


class Side:
    """One replica's view of the pauses."""

    def __init__(self, name: str, ahead: float = 0.0) -> None:
        self.guard = Guard(PROVIDER, Script(), Limits(), ignore)
        self.told = 0
        self._ahead = timedelta(seconds=ahead)
        self._pauses = PausesOnBoard(lambda: name, self.guard, self._tell)

    def _tell(self) -> None:
        self.told += 1

    def exchange(self, sheet: LeaseLedger) -> LeaseLedger:
        return self._pauses.exchanged(sheet, self._wall())

    def _wall(self) -> datetime:
        return wall() + self._ahead

    @property
    def left(self) -> float:
        return max(0.0, self.guard.paused_until - trio.current_time())


async def test_a_pause_is_told_and_lasts_as_long_for_everybody(autojump_clock: MockClock) -> None:
    a, b, sheet = Side("a"), Side("b"), LeaseLedger()
    a.guard.pause_for(30, tells=True)
    assert a.told == 1
    for _ in range(50):
        sheet = b.exchange(a.exchange(sheet))
        await trio.sleep(0.5)
    assert a.left == pytest.approx(5, abs=0.01)
    assert b.left == pytest.approx(5, abs=0.51)
    assert b.told == 0
    await trio.sleep(6)
    assert a.exchange(b.exchange(sheet)).pause is None


async def test_the_longest_of_several_pauses_holds(autojump_clock: MockClock) -> None:
    a, b, sheet = Side("a"), Side("b"), LeaseLedger()
    a.guard.pause_for(10, tells=True)
    b.guard.pause_for(60, tells=True)
    for _ in range(4):
        sheet = b.exchange(a.exchange(sheet))
    assert (a.left, b.left) == (60, 60)
    a.guard.pause_for(90, tells=True)
    for _ in range(4):
        sheet = b.exchange(a.exchange(sheet))
    assert (a.left, b.left) == (90, 90)


@pytest.mark.parametrize(
    ("away", "ahead", "left"),
    [(1, 0, 30), (20, 0, 15), (100, 0, 0), (1, -86_400, 30), (1, 86_400, 0), (0, AWAY, 30)],
)
async def test_whoever_finds_a_pause_after_all_were_away_waits_for_the_rest(
    away: float, ahead: float, left: float, autojump_clock: MockClock
) -> None:
    a = Side("a")
    a.guard.pause_for(30, tells=True)
    sheet = parse_ledger(ledger_text(a.exchange(LeaseLedger())))
    await trio.sleep(away)
    b = Side("b", ahead)
    b.exchange(sheet)
    assert b.left == pytest.approx(left, abs=0.01)


def test_a_sheet_of_before_has_no_pause() -> None:
    assert parse_ledger('{"entries": {}, "turn": 0, "spent": []}').pause is None


class Straight:
    """A line to the board without a delay."""

    def __init__(self, board: Board) -> None:
        self._board = board

    async def read(self, provider: str) -> tuple[str, str]:
        await trio.sleep(0.001)
        return self._board.read(provider)

    async def swap(self, provider: str, version: str, text: str) -> bool:
        await trio.sleep(0.001)
        return self._board.swap(provider, version, text)


def keeper(board: Board, name: str) -> tuple[ShareRenewer, Guard]:
    guard = Guard(PROVIDER, Script(), Limits(), ignore)
    return ShareRenewer(Straight(board), lambda: name, {PROVIDER: guard}, wall=wall), guard


def pause_of(board: Board) -> Pause | None:
    return board.sheet().pause


async def test_replicas_that_run_learn_of_it_within_a_second_and_new_ones_before_they_start(
    autojump_clock: MockClock,
) -> None:
    board = Board()
    (one, guard), (two, other) = keeper(board, "a"), keeper(board, "b")
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run)
        await nursery.start(two.run)
        await trio.sleep(2)
        guard.pause_for(600, tells=True)
        await trio.sleep(0.2)
        assert pause_of(board) is not None
        await trio.sleep(1)
        assert other.statistics().hold == "throttled"
        await one.leave()
        await two.leave()
        three, late = keeper(board, "c")
        await nursery.start(three.run)
        assert late.statistics().hold == "throttled"
        assert late.statistics().paused_for == pytest.approx(598, abs=2)
        nursery.cancel_scope.cancel()


async def test_a_pause_that_comes_with_the_last_answers_is_told_when_a_replica_leaves(
    autojump_clock: MockClock,
) -> None:
    board = Board()
    one, guard = keeper(board, "a")
    async with trio.open_nursery() as nursery:
        await nursery.start(one.run)
        guard.pause_for(600, tells=True)
        await one.leave()
        assert pause_of(board) is not None
        nursery.cancel_scope.cancel()
