"""A client for each test, closed after it; certificates for those that speak TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from carillon.http_client.client import Http1Wire
from carillon.http_client.httpx_client import HttpxWire
from carillon.http_client.httpx_transport import Http1Transport
from carillon.http_client.ports import Wire
from tests.http_client.polled import Polled

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


class MakeWire(Protocol):
    def __call__(self, trusting: ssl.SSLContext | None = None, /) -> Wire: ...


@pytest.fixture(scope="session")
def tls() -> ssl.SSLContext:
    """What a wire makes for itself otherwise, each time anew."""
    return httpx.create_ssl_context()


@pytest.fixture(params=[HttpxWire, Http1Wire])
def make_wire(request: pytest.FixtureRequest, tls: ssl.SSLContext) -> MakeWire:
    """Both wires: what one does the other does too."""
    kind: type[HttpxWire] | type[Http1Wire] = request.param
    return lambda trusting=None: kind(trusting or tls)


@pytest.fixture
async def wire(tls: ssl.SSLContext) -> AsyncIterator[HttpxWire]:
    wire = HttpxWire(tls)
    yield wire
    await wire.aclose()


@pytest.fixture(params=["waiting", "polled"])
def carried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who reads an answer: the task that made the call, or one that carries many."""
    how: str = request.param
    if how == "polled":
        monkeypatch.setattr("carillon.http_client.client.Exchange", Polled)
    return how


@pytest.fixture
async def client(tls: ssl.SSLContext) -> AsyncIterator[httpx.AsyncClient]:
    """An httpx client over the fast wire's connections."""
    async with httpx.AsyncClient(transport=Http1Transport(tls), timeout=5) as client:
        yield client


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A key and its self-signed certificate for 127.0.0.1 in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(host, critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = signed.public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path / "stand-in.pem"
    path.write_bytes(pem)
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture(autouse=True)
def unhurried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine holds tests up, and then calls start twice: where that is not the point."""
    if "stale" not in request.keywords:
        monkeypatch.setattr("carillon.http_client.client.STALE_SECONDS", 60.0)
        monkeypatch.setattr("carillon.http_client.httpx_client.STALE_SECONDS", 60.0)
