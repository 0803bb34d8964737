"""AWS Signature Version 4: the headers by which AWS knows who sends a request.

Contract: AWS General Reference, *Signature Version 4*, for services other than S3: the path is
encoded once more, and the body's hash is in the signature and in no header.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from math import inf
from typing import Final
from urllib.parse import quote, urlsplit

from carillon.http_client.ports import Headers

ALGORITHM: Final = "AWS4-HMAC-SHA256"
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class AwsKeys:
    """Who signs. Temporary keys have a `token`, and end: `renew_at` is on trio's clock."""

    access_key: str = field(repr=False)
    secret: str = field(repr=False)
    token: str = field(default="", repr=False)
    renew_at: float = inf


@dataclass(frozen=True, slots=True)
class Unsigned:
    """A request without its signature. `body_hash` is the SHA-256 of its body, in hexadecimal.

    `url` is absolute, and encoded where that is needed.
    """

    method: str
    url: str
    headers: Headers
    body_hash: str


def signed(request: Unsigned, keys: AwsKeys, region: str, service: str, now: datetime) -> Headers:
    """The request's headers and those of its signature; `host` is left to the client.

    `now` has the time zone UTC. Header names are in lower case.
    """
    at = now.strftime("%Y%m%dT%H%M%SZ")
    ours = {**request.headers, "x-amz-date": at}
    if keys.token:
        ours["x-amz-security-token"] = keys.token
    covered = {**ours, "host": _host(request.url)}
    names = ";".join(sorted(covered))
    scope = f"{at[:8]}/{region}/{service}/aws4_request"
    canonical = _canonical(request, covered, names)
    text = f"{ALGORITHM}\n{at}\n{scope}\n{sha256(canonical.encode()).hexdigest()}"
    signature = _keyed(_signing_key(keys.secret, scope), text).hex()
    ours["authorization"] = (
        f"{ALGORITHM} Credential={keys.access_key}/{scope}, SignedHeaders={names}, "
        f"Signature={signature}"
    )
    return ours


def _canonical(request: Unsigned, covered: Headers, names: str) -> str:
    """The request as both sides write it down."""
    parts = urlsplit(request.url)
    query = "&".join(
        "=".join(pair) for pair in sorted(_pair(one) for one in parts.query.split("&") if one)
    )
    lines = [f"{name}:{' '.join(covered[name].split())}\n" for name in sorted(covered)]
    path = quote(parts.path or "/", safe="/~")
    return "\n".join([request.method, path, query, "".join(lines), names, request.body_hash])


def _pair(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _signing_key(secret: str, scope: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = _keyed(key, part)
    return key


def _keyed(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _host(url: str) -> str:
    """As the client names it: without the port that the scheme has anyway."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return host if parts.port in (None, _PORTS[parts.scheme]) else f"{host}:{parts.port}"
