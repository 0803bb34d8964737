"""Where this service listens, where its store is, and the proxies on the way to others."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from carillon.http_client.urls import CHARACTERS, HOST, base_url, is_address
from carillon.stores.mongodb.url import MongoUrl, mongodb_url

_PROXY: Final = (
    'the http:// or https:// URL of a proxy, such as "http://proxy:3128"; SOCKS is not supported'
)


def proxy_url(text: str) -> str:
    """The URL of a proxy, which may hold a user name and a password.

    Raises:
        ValueError: With what is allowed; never with the text.
    """
    try:
        parts = urlsplit(text)
        user, _, host = parts.netloc.rpartition("@")
        base_url(f"{parts.scheme}://{host}")
    except ValueError:
        raise ValueError(_PROXY) from None
    if "@" in user or not CHARACTERS.fullmatch(user):
        raise ValueError(_PROXY)
    return text


def host_name(text: str) -> str:
    """A host name or IP address to listen on; an IPv6 address may stand in brackets.

    Raises:
        ValueError: With what is allowed.
    """
    bare = text.removeprefix("[").removesuffix("]")
    if is_address(bare):
        return bare
    if not HOST.fullmatch(text):
        raise ValueError("a host name or an IP address, without port")
    return text


def listening_host(text: str) -> str:
    """A host to listen on, which must lead to an address.

    Raises:
        ValueError: With what is allowed.
    """
    host = host_name(text)
    if not is_address(host):
        try:
            socket.getaddrinfo(host, None, socket.AF_INET)
        except (OSError, UnicodeError):
            raise ValueError(
                "a host name that leads to an IPv4 address, or an IP address"
            ) from None
    return host


def is_own_machine(host: str) -> bool:
    """Whether a URL's host can be nothing but this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def store_url(url: str) -> Path | MongoUrl:
    """The embedded store's file, or where a MongoDB is.

    Raises:
        ValueError: With what is allowed.
    """
    return mongodb_url(url) if url.startswith("mongodb") else sqlite_path(url)


def sqlite_path(url: str) -> Path:
    """The file of `sqlite:///relative.db` or `sqlite:////absolute.db`.

    Raises:
        ValueError: With what is allowed.
    """
    scheme, _, rest = url.partition("://")
    path = rest.removeprefix("/")
    if scheme != "sqlite" or path == rest or path.endswith("/") or not path:
        raise ValueError('"sqlite:///relative.db", "sqlite:////absolute.db" or "mongodb://host/db"')
    if path == ":memory:" or any(c in path for c in "?#") or not path.isprintable():
        raise ValueError('a file: "sqlite:///relative.db" or "sqlite:////absolute/path.db"')
    return Path(path)
