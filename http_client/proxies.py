"""The proxies that the environment names, read once, as httpx reads them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.request import (  # type: ignore[attr-defined]  # typeshed lacks the last one
    getproxies,
    proxy_bypass,
    proxy_bypass_environment,
)

_SUFFIX = "_proxy"


class Proxies:
    """Which proxy stands on the way to an address."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        """Reads the environment given, else that of this process; later changes do not count."""
        self._proxies = getproxies() if environ is None else _named_in(environ)
        self._is_ours = environ is None

    def on_the_way_to(self, scheme: str, authority: str) -> str | None:
        """The proxy's address, None where the way is direct; an authority is `host[:port]`."""
        proxy = self._proxies.get(scheme) or self._proxies.get("all")
        if not proxy or self._is_bypassed(authority):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def _is_bypassed(self, authority: str) -> bool:
        if self._is_ours:
            return bool(proxy_bypass(authority))
        return bool(proxy_bypass_environment(authority, self._proxies))


def _named_in(environ: Mapping[str, str]) -> dict[str, str]:
    """As urllib does it: any spelling counts, that in small letters wins, also when it is empty."""
    folded = {name.lower(): value for name, value in environ.items() if name.lower() != name}
    folded |= {name: value for name, value in environ.items() if name.lower() == name}
    return {
        name.removesuffix(_SUFFIX): value
        for name, value in folded.items()
        if name.endswith(_SUFFIX) and value
    }
