"""Whether a provider can be connected to, without asking it for anything."""

from __future__ import annotations

import ssl

import httpx

from carillon.http_client.connection import open_connection
from carillon.http_client.errors import unsent_reply
from carillon.http_client.ports import NotSent
from carillon.http_client.proxies import Proxies
from carillon.http_client.target import origin_of


async def reach(url: str, proxies: Proxies, tls: ssl.SSLContext) -> NotSent | None:
    """Open a connection to the URL's host, or to the proxy on the way there, and close it.

    Why there is none, or None. What is neither plain HTTP nor TLS is not tried.
    """
    parsed = httpx.URL(url)
    proxy = proxies.on_the_way_to(parsed.scheme, parsed.netloc.decode())
    origin = origin_of(parsed if proxy is None else httpx.URL(proxy))
    if origin is None:
        return None
    try:
        connection = await open_connection(origin, tls)
    except (OSError, UnicodeError) as error:
        return unsent_reply(error)
    connection.close()
    return None
