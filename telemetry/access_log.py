"""A line of the log and a count for each request, whichever way it was answered."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from http import HTTPStatus
from math import inf
from typing import Final
from uuid import uuid4

from carillon.messages.events import fenced
from carillon.telemetry.logs import TRACE, ObserverFailures
from carillon.telemetry.metrics import Metrics

READ_SECONDS: Final = 60.0
LONGEST_REQUEST_ID: Final = 100
"""Characters of a caller's `X-Request-Id` that lines of the log hold."""
NO_ROUTE: Final = "none"


@dataclass(slots=True)
class Seen:
    """What the log says about a request; `host` may have a port, `client` is an IP address."""

    request_id: str
    method: str
    path: str
    host: str
    user_agent: str | None = None
    forwarded_host: str | None = None
    client: str | None = None

    def fields(self) -> dict[str, object]:
        """The same as fields of a line."""
        return {
            "reqId": self.request_id,
            "http.request.method": self.method,
            "http.request.userAgent.original": self.user_agent,
            "url.path": self.path,
            "host.hostname": self.host.partition(":")[0],
            "host.forwardedHost": self.forwarded_host,
            "host.ip": self.client,
        }


@dataclass(slots=True)
class Ended:
    """How a request was answered: `size` is the body's, `route` a pattern, or None."""

    seen: Seen
    route: str | None
    status: int
    size: int | None
    seconds: float
    dispatch_id: str | None
    caller: str | None
    why: str | None


def request_id(asked: str | None) -> str:
    """What a caller calls its request in `X-Request-Id`, or a new name."""
    return (asked or "")[:LONGEST_REQUEST_ID] or str(uuid4())


class AccessLog:
    """Logs and counts requests; what that raises is logged, and the answer leaves all the same."""

    def __init__(self, logger: logging.Logger, metrics: Metrics) -> None:
        self._logger = logger
        self._metrics = metrics
        self._reads = Reads()
        failures = ObserverFailures(logger)
        self.started = fenced(self._started, failures)
        self.ended = fenced(self._ended, failures)

    def _started(self, seen: Seen) -> None:
        if self._logger.isEnabledFor(TRACE):
            self._logger.log(TRACE, "incoming request", extra={"fields": seen.fields()})

    def _ended(self, ended: Ended) -> None:
        method = "*" if ended.route is None else ended.seen.method
        route = ended.route or NO_ROUTE
        try:
            self._metrics.request_ended(method, route, ended.status, ended.seconds)
        finally:
            self._log(ended, route)

    def _log(self, ended: Ended, route: str) -> None:
        seen, logger = ended.seen, self._logger
        is_error = ended.status >= HTTPStatus.INTERNAL_SERVER_ERROR
        level = logging.ERROR if is_error else logging.INFO
        is_probe = seen.path.startswith("/-/")
        if not logger.isEnabledFor(level) or (is_probe and not is_error):
            return
        fields = seen.fields() | {
            "http.response.statusCode": ended.status,
            "http.response.body.bytes": ended.size,
            "responseTime": round(ended.seconds * 1000, 3),
            "dispatchId": ended.dispatch_id,
            "caller": ended.caller,
        }
        if ended.status >= HTTPStatus.BAD_REQUEST:
            fields["why"] = ended.why
        elif seen.method in {"GET", "HEAD"} and not logger.isEnabledFor(logging.DEBUG):
            left_out = self._reads.left_out(ended.caller or "", route)
            if left_out is None:
                return
            fields["leftOut"] = left_out
        logger.log(level, "request completed", extra={"fields": fields})


class Reads:
    """Lets one line a minute through for a caller that polls the same route.

    A client that watches providers or dispatches asks every second, and changes nothing.
    """

    def __init__(self) -> None:
        self._lines: dict[tuple[str, str], tuple[float, int]] = {}  # callers are configured

    def left_out(self, caller: str, route: str) -> int | None:
        """How many lines were left out since the last one; None if this one is left out too."""
        now = time.monotonic()
        at, number = self._lines.get((caller, route), (-inf, 0))
        is_due = now - at >= READ_SECONDS
        self._lines[caller, route] = (now, 0) if is_due else (at, number + 1)
        return number if is_due else None
