"""A wire for each test, closed after it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from providers.httpx_wire import HttpxWire


@pytest.fixture
async def wire() -> AsyncIterator[HttpxWire]:
    wire = HttpxWire()
    yield wire
    await wire.aclose()
