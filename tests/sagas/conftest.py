"""The fixtures of HTTP clients."""

from __future__ import annotations

from tests.http_client.fixtures import (
    certificate,
    client,
    make_wire,
    no_proxies,
    server_tls,
    tls,
    unhurried,
    wire,
)

__all__ = [
    "certificate",
    "client",
    "make_wire",
    "no_proxies",
    "server_tls",
    "tls",
    "unhurried",
    "wire",
]
