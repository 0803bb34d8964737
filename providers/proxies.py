"""The proxies that the environment names, read once, as httpx reads them."""

from __future__ import annotations

from urllib.request import getproxies, proxy_bypass

import httpx


class Proxies:
    """Which proxy stands on the way to an address."""

    def __init__(self) -> None:
        """Reads the environment now; later changes to it count for nothing."""
        self._proxies = getproxies()

    def on_the_way_to(self, url: httpx.URL) -> str | None:
        """The proxy's address, None where the way is direct."""
        proxy = self._proxies.get(url.scheme) or self._proxies.get("all")
        if not proxy or proxy_bypass(url.netloc.decode()):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"
