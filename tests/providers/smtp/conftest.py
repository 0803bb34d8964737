"""A busy machine holds tests up, and then calls start twice: where that is not the point."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def unhurried_smtp(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "stale" not in request.keywords:
        monkeypatch.setattr("carillon.providers.smtp.session.STALE_SECONDS", 60.0)
