"""How brokers of Kafka are reached, as settings of librdkafka; nothing is imported that needs it.

Names and meaning of the variables are those of `@mia-platform/flow-manager-client` (contracts 1.6):
with user name and password there is TLS and SASL, without them neither.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Mechanism = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]
Settings = dict[str, str | int | bool]
"""What librdkafka is told, by the names of its own documentation."""


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """Brokers and who asks them. `brokers` are `host:port`; `setup_timeout` is in seconds.

    librdkafka bounds connecting and authenticating together.
    """

    brokers: tuple[str, ...]
    client_id: str = "carillon"
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    mechanism: Mechanism = "PLAIN"
    setup_timeout: float = 2.0

    def settings(self) -> Settings:
        """What every client is told."""
        base: Settings = {
            "bootstrap.servers": ",".join(self.brokers),
            "client.id": self.client_id,
            "socket.connection.setup.timeout.ms": max(1000, round(self.setup_timeout * 1000)),
            # It tries again by itself; what is waited for should come soon after a broker is back.
            "reconnect.backoff.max.ms": 1000,
            # Its own lines on stderr would be no JSON; what matters comes as errors.
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
