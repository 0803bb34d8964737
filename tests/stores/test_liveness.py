"""A writer is dead once its beat has not changed for long, to somebody who looked all the while."""

from __future__ import annotations

from carillon.stores.liveness import GAP, LivenessDetector

PATIENCE = 4.0


def looking(*looks: tuple[float, int]) -> LivenessDetector:
    """A detector that has seen these beats of `a`, each at its time."""
    detector = LivenessDetector(PATIENCE)
    for now, beat in looks:
        detector.look({"a": beat}, now)
    return detector


def test_a_beat_that_stays_the_same_is_that_of_a_dead_one_after_a_while() -> None:
    detector = looking((100.0, 1), (101.5, 1), (103.0, 1), (103.9, 1))
    assert detector.lives("a", 103.9)
    detector.look({"a": 1}, 104.0)
    assert not detector.lives("a", 104.0)
    assert detector.unchanged_for("a", 104.0) == 4.0


def test_another_beat_is_that_of_a_living_one() -> None:
    detector = looking((100.0, 1), (101.5, 1), (103.0, 2), (104.5, 2))
    assert detector.lives("a", 104.5)
    assert detector.unchanged_for("a", 104.5) == 1.5


def test_a_look_after_a_while_without_any_proves_nothing() -> None:
    detector = looking((100.0, 1), (101.0, 1), (101.0 + GAP + 3.0, 1))
    assert detector.lives("a", 106.0)
    assert detector.unchanged_for("a", 106.0) == 6.0  # its beat is as old all the same
    detector.look({"a": 1}, 107.9)
    assert detector.lives("a", 107.9)
    detector.look({"a": 1}, 109.5)
    detector.look({"a": 1}, 110.0)
    assert not detector.lives("a", 110.0)


def test_who_was_dead_before_such_a_while_stays_dead() -> None:
    detector = looking((100.0, 1), (102.0, 1), (104.0, 1), (114.0, 1))
    assert not detector.lives("a", 114.0)


def test_who_was_gone_is_seen_for_the_first_time_again() -> None:
    detector = looking((100.0, 1), (102.0, 1), (104.0, 1))
    detector.look({}, 105.0)
    detector.look({"a": 1}, 106.0)
    assert detector.lives("a", 106.0)
