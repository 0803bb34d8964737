"""The proxies of the environment: whether those can be used that are on the way of our calls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from carillon.settings.environment import Environment
from carillon.settings.urls import proxy_url

_SUFFIX: Final = "_proxy"


def check_proxies(addresses: Iterable[str], env: Environment) -> None:
    """Note each variable that names no usable proxy for one of these absolute URLs."""
    if not any(name.lower().endswith(_SUFFIX) for name in env.variables):
        return
    from carillon.http_client.proxies import Proxies  # noqa: PLC0415 - takes time, and hardly anybody has one

    proxies = Proxies(env.variables)
    for address in addresses:
        parts = urlsplit(address)
        proxy = proxies.on_the_way_to(parts.scheme, parts.netloc)
        if proxy is None:
            continue
        try:
            proxy_url(proxy)
        except ValueError as error:
            name = _variable(parts.scheme, env)
            env.problems.refuse((name,), env.variables[name], str(error))


def _variable(scheme: str, env: Environment) -> str:
    """The variable that names the proxy of a scheme; one in small letters wins."""
    for kind in (scheme, "all"):
        small = f"{kind}{_SUFFIX}"
        if small in env.variables:
            if env.variables[small]:
                return small
            continue
        for name, value in env.variables.items():
            if name.lower() == small and value:
                return name
    raise LookupError(scheme)
