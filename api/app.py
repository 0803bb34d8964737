"""The HTTP application: routes, the error shape, a log line a request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from math import inf
from typing import Final
from uuid import uuid4

from quart import Response, g, request
from quart_trio import QuartTrio

from carillon.api import access, errors
from carillon.api.access import Gate
from carillon.api.audit import audit_routes
from carillon.api.body import READERS, Bodies, GatedRequest, done_with_body
from carillon.api.dispatches import dispatch_change_routes, dispatch_routes
from carillon.api.documentation import documentation_routes, front_door
from carillon.api.events import event_routes
from carillon.api.hooks import hook_routes
from carillon.api.idempotency import Repeats
from carillon.api.operations import Probes, operation_routes
from carillon.api.providers import Tuning, provider_routes
from carillon.api.saga import saga_routes
from carillon.api.send import send_routes
from carillon.api.server.connection import Connection
from carillon.api.snapshot import Waiting
from carillon.api.supervision import supervision_routes
from carillon.dispatches.confirmations import Confirmations
from carillon.dispatches.service import DispatchService
from carillon.messages.clock import ago
from carillon.messages.events import fenced
from carillon.messages.json_input import MOST_VALUES
from carillon.messages.offload import Offload
from carillon.messages.ports.outbox import Outbox
from carillon.messages.ports.records import Records
from carillon.sagas.outbox_relay import Sender
from carillon.sagas.service import Sagas
from carillon.stores.ports import LiveSettings
from carillon.supervisor import Supervisor
from carillon.telemetry.logs import TRACE, ObserverFailures
from carillon.telemetry.metrics import Metrics

READ_SECONDS: Final = 60.0
LONGEST_REQUEST_ID: Final = 100
"""Characters of a caller's `X-Request-Id` that lines of the log hold."""


@dataclass(frozen=True, slots=True)
class Edge:
    """What the configuration says of the HTTP edge; idempotency keys expire after seconds.

    A body holds `most_values` JSON values, but for its recipients. Rows of what ended are `kept`
    for seconds.
    """

    most_body_bytes: int
    waiting: Waiting
    gate: Gate
    key_expiry: float
    ago: Callable[[float], int] = ago
    most_values: int = MOST_VALUES
    kept: float = 2_592_000.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application works with."""

    pipeline: DispatchService
    records: Records
    probes: Probes
    metrics: Metrics
    logger: logging.Logger
    tuning: Tuning
    live_settings: LiveSettings
    supervisor: Supervisor
    outbox: Outbox
    sagas: Sagas | None = None
    sender: Sender | None = None
    confirmations: Confirmations | None = None
    offload: Offload = field(default_factory=Offload)


def create_app(parts: Parts, edge: Edge) -> QuartTrio:
    """The application, ready to be served."""
    app = QuartTrio("carillon", static_folder=None)
    app.asgi_http_class = Connection
    app.request_class = GatedRequest
    app.extensions[READERS] = Bodies(edge.most_body_bytes, parts.offload, edge.most_values)
    app.config["MAX_CONTENT_LENGTH"] = edge.most_body_bytes
    app.config["RESPONSE_TIMEOUT"] = None  # it would cut long answers
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False  # it would redirect, which is no error shape
    app.logger = parts.logger  # a cached property: ours, and no global one
    errors.register(app)
    repeats = Repeats(parts.records, edge.key_expiry, edge.ago)
    for routes in (
        send_routes(parts.pipeline, parts.records, repeats, edge.waiting),
        dispatch_routes(parts.records, edge.kept),
        dispatch_change_routes(
            parts.pipeline, parts.records, parts.live_settings, edge.waiting.prefix, edge.kept
        ),
        provider_routes(parts.tuning),
        supervision_routes(parts.supervisor, parts.tuning),
        audit_routes(parts.live_settings),
        saga_routes(parts.sagas, repeats),
        event_routes(parts.outbox, parts.sender, parts.live_settings, edge.kept),
    ):
        app.register_blueprint(routes, url_prefix=edge.waiting.prefix)
    hooks = hook_routes(parts.confirmations)
    app.register_blueprint(hooks, url_prefix=f"{edge.waiting.prefix}{hooks.url_prefix}")
    app.register_blueprint(operation_routes(parts.probes))
    app.register_blueprint(
        documentation_routes(parts.probes.version, edge.waiting.prefix, edge.gate)
    )
    app.register_blueprint(front_door(edge.waiting.prefix))
    _observe_requests(app, parts.metrics, parts.logger)
    access.register(app, edge.gate)
    return app


def _observe_requests(app: QuartTrio, metrics: Metrics, logger: logging.Logger) -> None:
    failures, reads = ObserverFailures(logger), Reads()
    tell_of_start = fenced(lambda _: _log_start(logger), failures)

    def count_and_log(response: Response) -> None:
        seconds = time.perf_counter() - g.started
        try:
            _count(response, metrics, seconds)
        finally:
            _log_end(response, logger, seconds, reads)

    tell_of_end = fenced(count_and_log, failures)

    @app.before_request
    async def _started() -> None:
        g.started = time.perf_counter()
        g.request_id = request.headers.get("X-Request-Id", "")[:LONGEST_REQUEST_ID] or str(uuid4())
        tell_of_start(request)

    @app.after_request
    async def _ended(response: Response) -> Response:
        done_with_body()
        tell_of_end(response)
        return response

    @app.teardown_request
    async def _gone(_: BaseException | None) -> None:
        done_with_body()  # a request whose caller hung up has no answer


def _log_start(logger: logging.Logger) -> None:
    if logger.isEnabledFor(TRACE):
        logger.log(TRACE, "incoming request", extra={"fields": _request_fields()})


def _count(response: Response, metrics: Metrics, seconds: float) -> None:
    rule = request.url_rule
    metrics.request_ended(
        request.method if rule else "*",
        rule.rule if rule else "none",
        response.status_code,
        seconds,
    )


class Reads:
    """Lets one line a minute through for those who read the same again and again.

    Whoever watches providers or dispatches asks every second, and changes nothing.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], tuple[float, int]] = {}  # callers are configured

    def left_out(self, caller: str, route: str) -> int | None:
        """How many lines were left out since the last one; None when this one is, too."""
        now = time.monotonic()
        at, number = self._lines.get((caller, route), (-inf, 0))
        is_due = now - at >= READ_SECONDS
        self._lines[caller, route] = (now, 0) if is_due else (at, number + 1)
        return number if is_due else None


def _log_end(response: Response, logger: logging.Logger, seconds: float, reads: Reads) -> None:
    is_error = response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    level = logging.ERROR if is_error else logging.INFO
    is_probe = request.path.startswith("/-/")
    if logger.isEnabledFor(level) and (not is_probe or is_error):
        fields = _request_fields() | {
            "http.response.statusCode": response.status_code,
            "http.response.body.bytes": response.content_length,
            "responseTime": round(seconds * 1000, 3),
            "dispatchId": response.headers.get("Dispatch-Id"),
            "caller": g.get("caller"),
        }
        if response.status_code >= HTTPStatus.BAD_REQUEST:
            fields["why"] = g.get("why")
        elif request.method in {"GET", "HEAD"} and not logger.isEnabledFor(logging.DEBUG):
            rule = request.url_rule
            left_out = reads.left_out(g.get("caller", ""), rule.rule if rule else "none")
            if left_out is None:
                return
            fields["leftOut"] = left_out
        logger.log(level, "request completed", extra={"fields": fields})


def _request_fields() -> dict[str, object]:
    return {
        "reqId": g.request_id,
        "http.request.method": request.method,
        "http.request.userAgent.original": request.headers.get("User-Agent"),
        "url.path": request.path,
        "host.hostname": request.host.partition(":")[0],
        "host.forwardedHost": request.headers.get("X-Forwarded-Host"),
        "host.ip": request.remote_addr,
    }
