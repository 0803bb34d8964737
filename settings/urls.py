"""Where other services are: host names and URLs in, absolute base URLs out."""

from __future__ import annotations

import re
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Final
from urllib.parse import SplitResult, urlsplit

from carillon.stores.mongodb.url import MongoUrl, mongodb_url

_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9_])?\.?")
_CHARACTERS: Final = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/\[\]?#-]*")
_LONGEST: Final = 2048
_URL: Final = 'an http:// or https:// URL such as "http://host:8080/path"'
_PROXY: Final = (
    'the http:// or https:// URL of a proxy, such as "http://proxy:3128"; SOCKS is not supported'
)
_NAME: Final = 'a host name, "host:port" or an http:// or https:// URL'


def base_url(text: str) -> str:
    """An absolute URL without a trailing slash.

    Raises:
        ValueError: With what is allowed; never with the text, which may hold a password.
    """
    if len(text) > _LONGEST or not _CHARACTERS.fullmatch(text):
        raise ValueError(f"{_URL}, without spaces or characters that need escaping")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(_URL) from None
    _check(parts, port, text)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    address = host if port is None else f"{host}:{port}"
    return f"{parts.scheme}://{address}{parts.path.rstrip('/')}"


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
    if "@" in user or not _CHARACTERS.fullmatch(user):
        raise ValueError(_PROXY)
    return text


def service_url(name: str) -> str:
    """The base URL of a service given as host name, `host:port` or full URL.

    Raises:
        ValueError: With what is allowed.
    """
    if "://" in name:
        return base_url(name)
    if not name or "/" in name or "@" in name:
        raise ValueError(_NAME)
    try:
        return base_url(f"http://{name}")
    except ValueError:
        raise ValueError(_NAME) from None


def host_name(text: str) -> str:
    """A host name or IP address to listen on; an IPv6 address may stand in brackets.

    Raises:
        ValueError: With what is allowed.
    """
    bare = text.removeprefix("[").removesuffix("]")
    if _is_address(bare):
        return bare
    if not _HOST.fullmatch(text):
        raise ValueError("a host name or an IP address, without port")
    return text


def listening_host(text: str) -> str:
    """A host to listen on, which must lead to an address.

    Raises:
        ValueError: With what is allowed.
    """
    host = host_name(text)
    if not _is_address(host):
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


def _check(parts: SplitResult, port: int | None, text: str) -> None:
    if parts.scheme not in {"http", "https"}:
        raise ValueError(_URL)
    if "@" in parts.netloc:
        raise ValueError(f"{_URL}, without user name and password")
    if "?" in text or "#" in text:
        raise ValueError(f"{_URL}, without query and fragment")
    host = parts.hostname or ""
    known = _is_address(host) if "[" in parts.netloc else _HOST.fullmatch(host) is not None
    if not known or port == 0 or parts.netloc.endswith(":"):
        raise ValueError(f"{_URL}, with a valid host and port")


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
