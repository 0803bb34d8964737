"""How to reach Kafka brokers, as settings of librdkafka; this module does not import librdkafka.

Names and meaning of the variables are those of `@mia-platform/flow-manager-client` (contracts 1.6):
with user name and password there is TLS and SASL, without them neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Settings = dict[str, str | int | bool]
"""Settings of librdkafka, by the names in its documentation."""


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Brokers and credentials. `brokers` are `host:port`; `setup_timeout` is in seconds.

    The timeout covers connecting and authenticating together.
    """

    brokers: tuple[str, ...]
    client_id: str = "carillon"
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    mechanism: Mechanism = "PLAIN"
    setup_timeout: float = 2.0

    def settings(self) -> Settings:
        """The settings of every client."""
        base: Settings = {
            "bootstrap.servers": ",".join(self.brokers),
            "client.id": self.client_id,
            "socket.connection.setup.timeout.ms": max(1000, round(self.setup_timeout * 1000)),
            # librdkafka reconnects by itself; work that waits should go on soon after an outage.
            "reconnect.backoff.max.ms": 1000,
            # Its own log lines on stderr are not JSON; what matters comes as errors.
            "log_level": 0,
        }
        if self.username is None or self.password is None:
            return base
        return {
            **base,
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": self.mechanism,
            "sasl.username": self.username,
            "sasl.password": self.password,
        }
