"""Where others are that are called over HTTP: host names and URLs in, absolute base URLs out."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlsplit

HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\.?")
CHARACTERS: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/\[\]?#-]*")
"""Of a URL in which nothing needs escaping."""
_LONGEST: Final = 2048
_URL: Final = 'an http:// or https:// URL such as "http://host:8080/path"'
_NAME: Final = 'a host name, "host:port" or an http:// or https:// URL'


def base_url(text: str) -> str:
    """An absolute URL without a trailing slash.

    Raises:
        ValueError: With what is allowed; never with the text, which may hold a password.
    """
    return _absolute(text, "?#", "query and fragment")


def endpoint_url(text: str) -> str:
    """The same of one that may have a query, which goes with every request below it.

    Raises:
        ValueError: With what is allowed; never with the text, which may hold a password.
    """
    return _absolute(text, "#", "fragment")


def below(endpoint: str, path: str) -> str:
    """The URL of a path below an endpoint; the endpoint's query stands behind it."""
    address, mark, query = endpoint.partition("?")
    return f"{address.rstrip('/')}{path}{mark}{query}"


def _absolute(text: str, refused: str, named: str) -> str:
    if len(text) > _LONGEST or not CHARACTERS.fullmatch(text):
        raise ValueError(f"{_URL}, without spaces or characters that need escaping")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(_URL) from None
    _check(parts, port)
    if any(mark in text for mark in refused):
        raise ValueError(f"{_URL}, without {named}")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    address = host if port is None else f"{host}:{port}"
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{address}{parts.path.rstrip('/')}{query}"


def service_url(name: str) -> str:
    """The base URL of a service given as host name, `host:port` or full URL.

    Raises:
        ValueError: With what is allowed.
    """
    return _service(name, base_url)


def service_endpoint(name: str) -> str:
    """The same where a full URL may have a query. Raises ValueError with what is allowed."""
    return _service(name, endpoint_url)


def _service(name: str, convert: Callable[[str], str]) -> str:
    if "://" in name:
        return convert(name)
    if not name or "/" in name or "@" in name:
        raise ValueError(_NAME)
    try:
        return base_url(f"http://{name}")
    except ValueError:
        raise ValueError(_NAME) from None


def _check(parts: SplitResult, port: int | None) -> None:
    if parts.scheme not in {"http", "https"}:
        raise ValueError(_URL)
    if "@" in parts.netloc:
        raise ValueError(f"{_URL}, without user name and password")
    host = parts.hostname or ""
    known = is_address(host) if "[" in parts.netloc else HOST.fullmatch(host) is not None
    if not known or port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"{_URL}, with a valid host and port")


def is_address(text: str) -> bool:
    """Whether it is an IP address, without brackets."""
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
