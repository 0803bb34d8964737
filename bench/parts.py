"""The parts of the bench."""

from __future__ import annotations

from typing import Final

from bench import (
    compare,
    fan_out,
    files,
    isolation,
    kill,
    live,
    million,
    profile,
    replicas,
    sagas,
    small_requests,
)
from bench.part import Part

PARTS: Final = (
    fan_out.PART,
    small_requests.PART,
    sagas.PART,
    isolation.PART,
    million.PART,
    live.PART,
    fan_out.DURABILITY,
    kill.PART,
    replicas.PART,
    profile.PART,
    files.PART,
)
COMPARE: Final[Part] = compare.PART
"""Not one of `all`: it has to be told with which."""
