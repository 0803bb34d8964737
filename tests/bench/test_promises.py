"""Each part that holds a promise against a bar runs, at a size that shows no more than that."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.running import measured


def test_a_stalled_provider_does_not_hold_up_the_other_channel(tmp_path: Path) -> None:
    options = ["--seconds", "2", "--repeat", "1", "--pace", "25", "--backlog", "4000"]
    found = measured("isolation", tmp_path, *options)
    calm, stalled = found["runs"]
    assert (calm["stalled"], stalled["stalled"]) == (False, True)
    assert stalled["mailbox_depth"] > 0
    assert calm["load"]["requests"] == stalled["load"]["requests"] == 50
    # Generous: a machine that runs other tests too is no place for the real bar.
    assert found["bars"][0]["figure"] < 20
    assert stalled["load"]["p50_ms"] < 500


def test_a_backlog_that_fits_the_mailbox_is_refused(tmp_path: Path) -> None:
    options = ["--seconds", "1", "--repeat", "1", "--backlog", "30"]
    with pytest.raises(SystemExit, match="--backlog must be more"):
        measured("isolation", tmp_path, *options)


def test_small_dispatches_are_answered_during_a_large_one(tmp_path: Path) -> None:
    found = measured("million", tmp_path, "--users", "3000")
    [run] = found["runs"]
    assert run["users"] == 3000
    assert run["small"]["requests"] > 0
    memory, latency = found["bars"]
    assert memory["met"]
    assert latency["figure"] < 3000


def test_the_store_of_the_large_dispatch_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        measured("million", tmp_path, "--users", "300")
    assert capsys.readouterr().err.count("filling a store") == 1


def test_a_change_of_rate_shows_at_the_provider(tmp_path: Path) -> None:
    found = measured("live", tmp_path, "--users", "400", "--seconds", "1.2")
    [run] = found["runs"]
    assert sum(run["buckets"]) == run["users"] == 400
    assert [(one["before"], one["after"]) for one in run["changes"]] == [
        (10, 100),
        (100, 10),
        (10, 100),
    ]
    assert all(one["shown_after"] < 2 for one in run["changes"])
    assert run["exceeded"] <= 3  # a machine that is busy may take note of an arrival late


def test_each_setting_of_the_journal_is_measured(tmp_path: Path) -> None:
    found = measured("durability", tmp_path, "--users", "300", "--repeat", "1")
    assert [run["contender"] for run in found["runs"]] == ["commit", "process", "no journal"]
    assert all(run["cost"]["cpu_seconds"] > 0 for run in found["runs"])
    assert found["bars"][0]["figure"] > 0
