"""The fixtures of HTTP clients."""

from __future__ import annotations

from tests.http_client.fixtures import (
    carried,
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
    "carried",
    "certificate",
    "client",
    "make_wire",
    "no_proxies",
    "server_tls",
    "tls",
    "unhurried",
    "wire",
]
