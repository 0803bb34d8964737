"""What replicas that are gone have spent of a quota counts for a day, whatever clocks said."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from carillon.actors.capacity.ledger import HasQuota, LeaseLedger, ReplicaLease, Spent
from carillon.actors.capacity.liveness import LONGEST_DAY, LedgerWatch

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MIDNIGHT = datetime(2026, 1, 2, tzinfo=UTC)
NEVER = NOW + timedelta(days=400)


def days(sheet: LeaseLedger) -> dict[datetime, int]:
    return {one.ends: one.number for one in sheet.spent}


def test_what_was_spent_on_a_day_that_never_comes_counts_for_one_day() -> None:
    watch = LedgerWatch("me")
    sheet = LeaseLedger(spent=(Spent(MIDNIGHT, 3), Spent(NEVER, 5)))
    sheet = watch.tidied(sheet, 0.0, NOW)
    assert days(sheet) == {MIDNIGHT: 3, NOW + LONGEST_DAY: 5}
    later = NOW + timedelta(hours=12)
    assert days(watch.tidied(sheet, 1.0, later)) == days(sheet)
    assert days(watch.tidied(sheet, 2.0, NOW + timedelta(hours=28))) == {}


def test_so_does_what_a_replica_held_that_left_while_its_clock_was_wrong() -> None:
    watch = LedgerWatch("me")
    gone = ReplicaLease(1, NOW.timestamp(), {}, HasQuota(NEVER, 10, 4), left=True)
    sheet = LeaseLedger({"gone": gone})
    watch.look(sheet, 0.0)
    sheet = watch.tidied(sheet, 1.0, NOW)
    assert (dict(sheet.entries), days(sheet)) == ({}, {NOW + LONGEST_DAY: 4})
