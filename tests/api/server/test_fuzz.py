"""A living service under byte streams that nobody should send; ten thousand at each run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.api.server.fuzz import fuzz

EACH = 5000


@pytest.mark.parametrize("h2c", [False, True], ids=["http1", "http2"])
async def test_nothing_that_comes_ends_it_or_stays(h2c: bool, tmp_path: Path) -> None:  # noqa: FBT001
    found = await fuzz(tmp_path, range(h2c * EACH, h2c * EACH + EACH), seed=1, h2c=h2c)
    assert found.inputs == EACH
    assert found.errors.keys() <= {"protocol"}
    assert found.crashes == []
    assert found.descriptors[-1] <= found.descriptors[0] + 3
    assert found.memory[-1] <= found.memory[0] + 20
