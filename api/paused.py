"""What a service answers while its store is paused: the probes, and 503 to everybody else."""

from __future__ import annotations

import logging
from typing import Final

from quart import request
from quart_trio import QuartTrio

from carillon.api import access, errors
from carillon.api.access import Gate
from carillon.api.operations import Probes, operation_routes
from carillon.api.server.connection import Connection
from carillon.messages.errors import TryLater

_RETRY_AFTER: Final = 30
"""Seconds: somebody has to be told first, and to decide."""


class StorePaused(TryLater):
    """Nothing is accepted until an operator lets the store go on."""

    retry_after = _RETRY_AFTER


def create_paused_app(probes: Probes, gate: Gate, logger: logging.Logger, why: str) -> QuartTrio:
    """The application of a service that waits for `carillon store resume`."""
    app = QuartTrio("carillon-paused", static_folder=None)
    app.asgi_http_class = Connection
    app.logger = logger
    errors.register(app)
    app.register_blueprint(operation_routes(probes))
    access.register(app, gate)

    @app.before_request
    async def _refuse() -> None:
        if not request.path.startswith("/-/"):
            raise StorePaused(why)

    return app
