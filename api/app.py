"""The HTTP application: routes, the error shape, a log line a request."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from quart import Response, g, request
from quart_trio import QuartTrio
from werkzeug.routing import BaseConverter

from carillon.api import access, errors
from carillon.api.access import Gate, declared_need
from carillon.api.audit import audit_routes
from carillon.api.body import READERS, Bodies, GatedRequest, done_with_body, send_bounds
from carillon.api.directory.routes import DirectoryParts, directory_routes, hidden_id
from carillon.api.dispatches import dispatch_change_routes, dispatch_routes
from carillon.api.documentation import documentation_routes, front_door
from carillon.api.events import event_routes
from carillon.api.hooks import hook_routes
from carillon.api.idempotency import Repeats
from carillon.api.operations import Probes, operation_routes
from carillon.api.providers import Tuning, provider_routes
from carillon.api.saga import saga_routes
from carillon.api.send import ROUTE, FastSend, Sending, send_routes
from carillon.api.server.connection import Connection
from carillon.api.snapshot import Waiting
from carillon.api.supervision import supervision_routes
from carillon.dispatches.confirmations import Confirmations
from carillon.dispatches.service import DispatchService
from carillon.messages.clock import ago
from carillon.messages.json_bounds import MOST_VALUES
from carillon.messages.offload import SMALL, Offload
from carillon.messages.ports.outbox import Outbox
from carillon.messages.ports.records import Records
from carillon.sagas.outbox_relay import Sender
from carillon.sagas.service import Sagas
from carillon.stores.editing import DirectoryEditor
from carillon.stores.ports import LiveSettings
from carillon.supervisor import Supervisor
from carillon.telemetry.access_log import AccessLog, Ended, Seen, request_id
from carillon.telemetry.metrics import Metrics


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

    dispatcher: DispatchService
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
    editor: DirectoryEditor | None = None


class _AnyText(BaseConverter):
    """The rest of a path, which may hold anything."""

    regex = r"[\s\S]+"
    part_isolating = False
    weight = 200


@dataclass(frozen=True, slots=True)
class Application:
    """All routes, and besides a shorter way to the one that is called most."""

    all_routes: QuartTrio
    fast: FastSend


def create_app(parts: Parts, edge: Edge) -> Application:
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
    app.url_map.converters["anything"] = _AnyText
    errors.register(app)
    repeats = Repeats(parts.records, edge.key_expiry, edge.ago)
    sending = Sending(parts.dispatcher, parts.records, repeats, edge.waiting)
    directory = DirectoryParts(parts.editor, parts.live_settings, edge.waiting.prefix)
    for routes in (
        send_routes(sending),
        dispatch_routes(parts.records, edge.kept),
        dispatch_change_routes(
            parts.dispatcher,
            parts.records,
            parts.live_settings,
            edge.waiting.prefix,
            edge.kept,
        ),
        provider_routes(parts.tuning),
        supervision_routes(parts.supervisor, parts.tuning),
        audit_routes(parts.live_settings),
        directory_routes("user", directory),
        directory_routes("template", directory),
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
    log = AccessLog(parts.logger, parts.metrics)
    _observe_requests(app, log, edge.waiting.prefix)
    access.register(app, edge.gate)
    return Application(app, _fast_send(app, sending, parts, edge, log))


def _fast_send(
    app: QuartTrio, sending: Sending, parts: Parts, edge: Edge, log: AccessLog
) -> FastSend:
    path = f"{edge.waiting.prefix}{ROUTE}"
    need = declared_need(app.view_functions["send.send"])
    most = min(SMALL, edge.most_body_bytes)
    bounds = send_bounds(edge.most_values)
    return FastSend(path, sending, edge.gate, need, bounds, most, log, parts.logger)


def _observe_requests(app: QuartTrio, log: AccessLog, prefix: str) -> None:
    @app.before_request
    async def _started() -> None:
        g.started = time.perf_counter()
        g.seen = _seen(prefix)
        log.started(g.seen)

    @app.after_request
    async def _ended(response: Response) -> Response:
        done_with_body()
        rule = request.url_rule
        ended = Ended(
            g.seen,
            rule.rule if rule else None,
            response.status_code,
            response.content_length,
            time.perf_counter() - g.started,
            response.headers.get("Dispatch-Id"),
            g.get("caller"),
            g.get("why"),
        )
        log.ended(ended)
        return response

    @app.teardown_request
    async def _gone(_: BaseException | None) -> None:
        done_with_body()  # a request whose caller hung up has no answer


def _seen(prefix: str) -> Seen:
    headers = request.headers
    return Seen(
        request_id(headers.get("X-Request-Id")),
        request.method,
        hidden_id(request.path, prefix),
        request.host,
        headers.get("User-Agent"),
        headers.get("X-Forwarded-Host"),
        request.remote_addr,
    )
