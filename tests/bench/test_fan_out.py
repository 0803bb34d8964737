"""The bench works: every contender does its whole job and is measured while it does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.__main__ import main
from bench.tally import Counting, Tally, WrongResultError
from bench.workload import message_bytes

USERS = 200


def test_each_contender_sends_every_message_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The bench itself checks each run against what arrived, and ends with an error if it differs.
    output = tmp_path / "results.json"
    where = ["--json", str(output), "--folder", str(tmp_path)]
    main(["fan-out", "--sizes", str(USERS), "--repeat", "1", *where])
    runs = json.loads(output.read_text())["fan_out"]
    assert {run["contender"] for run in runs} == {
        "Carillon, one cluster",
        "Carillon, ids listed",
        "bare trio loop",
        "aiohttp, gather",
    }
    for run in runs:
        assert run["users"] == USERS
        assert min(run["cost"].values()) > 0
        assert run["cost"]["peak_mb"] >= run["cost"]["idle_mb"]
    assert capsys.readouterr().out.count(f"| {USERS} | ") == len(runs)


def test_a_message_that_came_twice_is_seen() -> None:
    counting = Counting()
    for index in (0, 1, 1):
        counting.add(message_bytes(index))
    tally = Tally(**json.loads(counting.take()))
    with pytest.raises(WrongResultError):
        tally.check_each_once(2)
    with pytest.raises(WrongResultError):
        tally.check_each_once(3)


def test_a_user_who_was_left_out_is_seen() -> None:
    counting = Counting()
    for index in (0, 2):
        counting.add(message_bytes(index))
    tally = Tally(**json.loads(counting.take()))
    with pytest.raises(WrongResultError):
        tally.check_each_once(2)
