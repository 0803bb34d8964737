"""Access to each route: API keys and their scopes, or without keys the operator's token.

Every view says what it needs, below its route:

    @routes.get("/providers", provide_automatic_options=False)
    @needs("read")
    async def providers() -> Response: ...

With keys configured, `needs(scope)` asks for a key with that scope (`operate` includes `read`).
Without keys, the route answers to callers on the same machine who show the operator token, and to
nobody in a cluster; `needs(scope, open_without_keys=True)` lets everybody in then. `@open_to_all`
is for probes. A view that says nothing is closed to everybody. `caller()` is the name to keep in
an audit.

The check comes before the body is read and before a path is known to lead nowhere.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Final, TypeVar

from quart import Quart, Request, g, request

from carillon.access.keys import ApiKey, KeyRing, Scope
from carillon.access.operator_token import OperatorToken
from carillon.api.errors import Forbidden, Unauthorized

V = TypeVar("V", bound=Callable[..., object])

_MARK: Final = "access_need"
_BEARER: Final = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_LOOPBACK_HOST: Final = re.compile(
    r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE | re.ASCII
)
_FORWARDING: Final = frozenset(
    {"forwarded", "via", "x-real-ip", "x-client-ip", "true-client-ip", "cf-connecting-ip"}
)
_FORWARDING_PREFIXES: Final = ("x-forwarded", "x-original-")


@dataclass(frozen=True, slots=True)
class Need:
    """What a route asks of its callers; a scope of None takes any key."""

    scope: Scope | None
    open_without_keys: bool
    always_open: bool = False


def needs(scope: Scope, *, open_without_keys: bool = False) -> Callable[[V], V]:
    """Declare the scope that a view's callers must have, and whether it is open without keys."""
    return _declaring(Need(scope, open_without_keys))


def open_to_all(view: V) -> V:
    """Declare a view open to everybody, keys or not."""
    return _declaring(Need(None, open_without_keys=True, always_open=True))(view)


def declared_need(view: object) -> Need | None:
    """What a view declares; None if it says nothing."""
    need = getattr(view, _MARK, None)
    return need if isinstance(need, Need) else None


def _declaring(need: Need) -> Callable[[V], V]:
    def declare(view: V) -> V:
        setattr(view, _MARK, need)
        return view

    return declare


def caller() -> str:
    """The caller of this request: the id of a key, or `loopback` or `anonymous` without keys.

    `loopback` has shown the operator token. On routes that are open without keys everybody is
    `anonymous`, wherever the call comes from.
    """
    name: str = g.caller
    return name


class Gate:
    """Lets a request in, or raises Unauthorized or Forbidden."""

    def __init__(
        self,
        keys: KeyRing,
        token: OperatorToken,
        *,
        in_cluster: bool,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._token = token
        self._in_cluster = in_cluster
        self._now = now

    @property
    def asks_for_keys(self) -> bool:
        """Whether there are API keys; without, some routes are open and others want the token."""
        return not self._keys.is_empty

    def admit(self, request: Request, need: Need) -> str:
        """The caller's name."""
        shown = request.headers.getlist("Authorization")
        name = self.admit_anywhere(shown, need)
        if name is not None:
            return name
        if self._in_cluster:
            raise Forbidden("In a cluster this route is off without API keys; configure API_KEYS")
        if (objection := _not_loopback(request)) is not None:
            raise Forbidden(
                f"Without API keys this route answers only on its own machine, and {objection}; "
                "configure API_KEYS"
            )
        self._check_token(shown)
        return "loopback"

    def admit_anywhere(self, shown: list[str], need: Need) -> str | None:
        """The caller's name by its headers `Authorization`; None if that depends on its place.

        Raises Unauthorized or Forbidden.
        """
        if need.always_open:
            return "anonymous"
        if not self._keys.is_empty:
            return self._with_key(shown, need)
        return "anonymous" if need.open_without_keys else None

    def _check_token(self, shown: list[str]) -> None:
        if not self._token.is_published:
            raise Forbidden(
                "This route is off: the operator token could not be written to a file, and the "
                "log says why; configure API_KEYS"
            )
        if not shown:
            raise Unauthorized(
                "Without API keys this route needs the operator token, which the service has "
                "written into a file for its own user; send Authorization: Bearer <token>"
            )
        if not self._token.is_shown(_bearer(shown, "<token>")):
            raise Unauthorized(
                "This is not the operator token of this service; a new one is drawn at each start"
            )

    def _with_key(self, shown: list[str], need: Need) -> str:
        key = self._valid_key(shown)
        if need.scope is not None and not key.may(need.scope):
            raise Forbidden(f"This needs a key with the scope {need.scope}; {key.id} has it not")
        return key.id

    def _valid_key(self, shown: list[str]) -> ApiKey:
        if not shown:
            raise Unauthorized("An API key is missing; send Authorization: Bearer <id>.<secret>")
        key = self._keys.find(_bearer(shown, "<id>.<secret>"))
        if key is None:
            raise Unauthorized("No such API key is known here")
        if key.has_expired(self._now()):
            raise Unauthorized(f"The API key {key.id} has expired")
        return key


def register(app: Quart, gate: Gate) -> None:
    """Have the gate look at every request of the app before anything else reads it."""
    unrouted = Need(None, open_without_keys=True)

    @app.before_request
    async def _admit() -> None:
        rule = request.url_rule
        need = unrouted if rule is None else declared_need(app.view_functions[rule.endpoint])
        if need is None:
            raise Forbidden("This route is closed: it does not say who may call it")
        g.caller = gate.admit(request, need)


def _bearer(shown: list[str], form: str) -> str:
    match = _BEARER.fullmatch(shown[0].strip())
    if match is None or len(shown) > 1:
        raise Unauthorized(f"The header must be Authorization: Bearer {form}")
    return match[1]


def _not_loopback(request: Request) -> str | None:
    """What speaks against a call from this machine by a caller that knows the service it calls.

    It is a second wall beside the token: a loopback Host shuts out pages whose name was rebound to
    127.0.0.1, and the Origin those that post to it from a browser here.
    """
    client = request.scope.get("client")
    if not is_loopback(client[0] if client else ""):
        return "the call comes from elsewhere"
    hosts = request.headers.getlist("Host")
    if len(hosts) != 1 or not _LOOPBACK_HOST.fullmatch(hosts[0]):
        return "Host must be localhost, 127.0.0.1 or [::1]"
    for name, _ in request.headers:
        if name.lower() in _FORWARDING or name.lower().startswith(_FORWARDING_PREFIXES):
            return f"{name} says that the call was forwarded"
    if any(origin.partition("://")[2] != hosts[0] for origin in request.headers.getlist("Origin")):
        return "Origin is another page"
    return None


def is_loopback(address: str) -> bool:
    """Whether an IP address is of this machine, an IPv4 one in IPv6 clothes too."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback
