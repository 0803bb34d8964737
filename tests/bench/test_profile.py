"""The profile tells where the CPU of a message goes, and its stations are files that exist."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.stations import STATIONS
from tests.bench.running import measured

ROOT = Path(__file__).parent.parent.parent
OURS = (
    "access",
    "actors",
    "api",
    "dispatches",
    "handlebars",
    "http_client",
    "messages",
    "providers",
    "stores",
    "supervisor",
    "telemetry",
)


def test_the_stations_sum_up_to_the_whole(tmp_path: Path) -> None:
    found = measured("profile", tmp_path, "--users", "3000", "--seconds", "1")
    assert len(found["runs"]) == 2
    for run in found["runs"]:
        whole = sum(station["cpu_us"] for station in run["stations"])
        assert whole == pytest.approx(run["cpu_us"])
        assert {"api", "wire"} & {station["name"] for station in run["stations"]}


@pytest.mark.parametrize("prefix", [prefix for prefix, _ in STATIONS if prefix.startswith(OURS)])
def test_a_station_of_ours_is_a_file(prefix: str) -> None:
    assert list(ROOT.glob(f"{prefix}*")), f"bench/stations.py names {prefix}, which is gone"
