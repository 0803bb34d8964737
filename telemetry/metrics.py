"""Prometheus metrics: an observer that counts, and gauges that are read at each scrape.

No label holds an id, an address or a template: only channel, provider, outcome and the like.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from carillon.actors.channel import Waiting
from carillon.messages.events import (
    AttemptEnded,
    ChannelQuarantined,
    DeliveryConfirmed,
    DeliveryEnded,
    DispatchAccepted,
    DispatchEnded,
    Event,
    SagaCommandRead,
    SagaEventTried,
    WorkerCrashed,
    WorkerStuck,
)
from carillon.messages.model import Receipt
from carillon.telemetry.counters import Counter, Histogram

if TYPE_CHECKING:
    from carillon.actors.provider.guard import Guard
    from carillon.supervisor import Supervisor

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
MOST_GATHERED: Final = 500
"""Events that are counted at once: a quarter of a millisecond."""
_BREAKER: Final[Mapping[str, int]] = {"closed": 0, "half-open": 1, "open": 2}


class Metrics:
    """Counts events. Call it with each one; `registry` is the one to expose.

    The two that every message brings are gathered, and counted together: once there are many, and
    before anybody reads.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._gathered_attempts: list[AttemptEnded] = []
        self._gathered_receipts: list[Receipt] = []
        self._dispatches = Counter("carillon_dispatches", "Dispatches accepted.")
        self._deliveries = Counter(
            "carillon_deliveries",
            "Deliveries that ended.",
            ["channel", "provider", "outcome", "reason"],
            self._count_receipts,
        )
        self._attempts = Counter(
            "carillon_attempts",
            "Calls to providers that ended.",
            ["channel", "provider", "result"],
            self._count_attempts,
        )
        self._attempt_seconds = Histogram(
            "carillon_attempt_duration_seconds",
            "From the first byte of a call to its answer.",
            _SECONDS,
            ["channel", "provider"],
            self._count_attempts,
        )
        self._dispatch_seconds = Histogram(
            "carillon_dispatch_duration_seconds",
            "From acceptance to the end of the last delivery.",
            _SECONDS,
        )
        self._restarts = Counter(
            "carillon_worker_restarts",
            "Workers that crashed or were stuck, and were replaced.",
            ["channel"],
        )
        self._quarantines = Counter(
            "carillon_channel_quarantines",
            "Times a channel passed its restart limit.",
            ["channel"],
        )
        self._saga_events = Counter(
            "carillon_saga_events",
            "Attempts to post a saga's event.",
            ["result"],
        )
        self._saga_commands = Counter(
            "carillon_saga_commands",
            "Records of a stream of commands that were decided.",
            ["result", "reason"],
        )
        self._confirmations = Counter(
            "carillon_confirmations",
            "Deliveries whose outcome a provider's hook told.",
            ["verdict"],
        )
        self._connection_errors = Counter(
            "carillon_connection_errors",
            "Connections of callers that an error ended.",
            ["kind"],
        )
        self._requests = Histogram(
            "http_request_duration_seconds",
            "HTTP requests answered.",
            _SECONDS,
            ["method", "route", "status_code"],
        )
        for metric in (
            self._dispatches,
            self._deliveries,
            self._attempts,
            self._attempt_seconds,
            self._dispatch_seconds,
            self._restarts,
            self._quarantines,
            self._saga_events,
            self._saga_commands,
            self._confirmations,
            self._connection_errors,
            self._requests,
        ):
            registry.register(metric)

    def __call__(self, event: Event) -> None:
        """Count one event."""
        # The two that every message brings come first.
        if isinstance(event, AttemptEnded):
            self._gathered_attempts.append(event)
            if len(self._gathered_attempts) == MOST_GATHERED:
                self._count_attempts()
        elif isinstance(event, DeliveryEnded):
            self._gathered_receipts.append(event.receipt)
            if len(self._gathered_receipts) == MOST_GATHERED:
                self._count_receipts()
        else:
            self._count(event)

    def _count_attempts(self) -> None:
        attempts, self._gathered_attempts = self._gathered_attempts, []
        seconds: dict[tuple[str, str], list[float]] = {}
        for one in attempts:
            seconds.setdefault((one.channel, one.provider), []).append(one.seconds)
        for labels, durations in seconds.items():
            self._attempt_seconds.add_all(durations, labels)
        self._attempts.add_all([(one.channel, one.provider, one.result) for one in attempts])

    def _count_receipts(self) -> None:
        receipts, self._gathered_receipts = self._gathered_receipts, []
        self._deliveries.add_all(
            [(one.channel, one.provider or "none", one.outcome, one.reason) for one in receipts]
        )

    def _count(self, event: Event) -> None:
        match event:
            case DispatchAccepted():
                self._dispatches.add()
            case DispatchEnded(seconds=seconds):
                self._dispatch_seconds.add(seconds)
            case WorkerCrashed(channel) | WorkerStuck(channel):
                self._restarts.add((channel,))
            case ChannelQuarantined(channel):
                self._quarantines.add((channel,))
            case SagaEventTried(result=result):
                self._saga_events.add((result,))
            case DeliveryConfirmed(verdict=verdict):
                self._confirmations.add((verdict,))
            case SagaCommandRead(result=result, reason=reason):
                self._saga_commands.add((result, reason or "none"))
            case _:
                pass

    def request_ended(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one HTTP request. `route` is the pattern, never the requested path."""
        self._requests.add(seconds, (method, route, str(status)))

    def connection_failed(self, kind: str) -> None:
        """Count one connection that an error ended."""
        self._connection_errors.add((kind,))


class Gauges(Collector):
    """Reads supervisor, guards and listener at each scrape."""

    def __init__(
        self, supervisor: Supervisor, guards: Sequence[Guard], connections: Callable[[], int]
    ) -> None:
        self._supervisor = supervisor
        self._guards = guards
        self._connections = connections

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Nothing: the registry need not collect in order to register."""
        yield from ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauges at this moment."""
        yield from self._of_providers()
        yield from self._of_channels()
        yield GaugeMetricFamily(
            "carillon_open_connections", "Connections of callers.", self._connections()
        )

    def _of_providers(self) -> Iterator[GaugeMetricFamily]:
        waiting = _gauge("carillon_provider_waiting", "Deliveries that wait for a provider.")
        waited = _gauge("carillon_provider_oldest_waiting_seconds", "How long the oldest waits.")
        flying = _gauge("carillon_provider_in_flight", "Calls that are open.")
        breaker = _gauge("carillon_provider_breaker", "0 closed, 1 half-open, 2 open.")
        paused = _gauge("carillon_provider_paused_seconds", "What is left of a pause.")
        queued = self._supervisor.waiting()
        for guard in self._guards:
            now = guard.statistics()
            line = queued.get(guard.name, Waiting())
            waiting.add_metric([guard.name], line.deliveries)
            waited.add_metric([guard.name], line.oldest)
            flying.add_metric([guard.name], now.in_flight)
            breaker.add_metric([guard.name], _BREAKER[now.breaker])
            paused.add_metric([guard.name], now.paused_for)
        yield from (waiting, waited, flying, breaker, paused)

    def _of_channels(self) -> Iterator[GaugeMetricFamily]:
        depth = _gauge("carillon_mailbox_depth", "Messages queued or parked.", "channel")
        quarantined = _gauge("carillon_channel_quarantined", "1 while out of service.", "channel")
        for name, status in self._supervisor.status().items():
            depth.add_metric([name], status.depth)
            quarantined.add_metric([name], status.state == "quarantined")
        yield from (depth, quarantined)


def _gauge(name: str, help_text: str, label: str = "provider") -> GaugeMetricFamily:
    return GaugeMetricFamily(name, help_text, labels=[label])
