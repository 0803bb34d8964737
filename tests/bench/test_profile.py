"""The profile tells where the CPU of a message goes, package by package."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.machine import Cost
from bench.profile import (
    LIBRARIES,
    OTHER,
    OURS,
    TracingRefusedError,
    place_of,
    profile_of,
    sampled,
)
from tests.bench.running import measured

ROOT = Path(__file__).parent.parent.parent


def frame(path: str) -> str:
    return f"work ({path}:7)"


def ours(path: str) -> str:
    return frame(f"{ROOT}/{path}")


def theirs(path: str) -> str:
    return frame(f"{ROOT}/.venv/lib/python3/site-packages/{path}")


def test_the_stations_sum_up_to_the_whole_and_none_is_empty(tmp_path: Path) -> None:
    found = measured("profile", tmp_path, "--users", "5000", "--seconds", "1.5")
    assert len(found["runs"]) == 2
    met = set()
    for run in found["runs"]:
        whole = sum(station["cpu_us"] for station in run["stations"])
        assert whole == pytest.approx(run["cpu_us"])
        met |= {station["name"] for station in run["stations"] if station["cpu_us"] > 0}
    assert met - {OTHER} == {*OURS, *LIBRARIES}


@pytest.mark.parametrize("package", OURS)
def test_a_station_of_ours_is_a_package(package: str) -> None:
    assert (ROOT / package / "__init__.py").is_file(), f"bench/profile.py names {package}"


@pytest.mark.parametrize(
    ("stack", "station", "file"),
    [
        (
            [theirs("trio/_core/_run.py"), ours("api/app.py"), theirs("h11/x.py")],
            "api",
            "api/app.py",
        ),
        ([ours("actors/worker.py"), theirs("trio/_util.py")], "trio", "actors/worker.py"),
        ([ours("actors/provider/guard.py")], "actors/provider", "actors/provider/guard.py"),
        (
            [ours("stores/sqlite/journal/log.py"), frame("/usr/lib/json.py")],
            "stores/sqlite/journal",
            "stores/sqlite/journal/log.py",
        ),
        ([frame("/usr/lib/threading.py"), "no file"], OTHER, "-"),
    ],
)
def test_a_sample_counts_for_the_innermost_station(
    stack: list[str], station: str, file: str
) -> None:
    assert place_of(stack) == (station, file)


def test_samples_are_shares_of_what_was_measured() -> None:
    stacks = [f"{ours('api/app.py')} 3", f"{ours('dispatches/feed.py')} 1"]
    profile = profile_of("work", 100, Cost(2.0, 1.0, 0.0, 0.0), stacks)
    assert profile.per_second == 50
    assert [(one.name, one.cpu_us) for one in profile.stations] == [
        ("api", 7500),
        ("dispatches", 2500),
    ]


def test_a_machine_that_refuses_to_trace_is_told(tmp_path: Path) -> None:
    refusing = tmp_path / "py-spy"
    refusing.write_text(
        "#!/bin/sh\necho 'Permission Denied: Try running again with sudo'\nexit 1\n"
    )
    refusing.chmod(0o700)
    with pytest.raises(TracingRefusedError, match="ptrace_scope"):
        with sampled(os.getpid(), tmp_path / "stacks.txt", str(refusing)):
            pass
