"""Requests to a running service over HTTP; its answers are returned as plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from carillon.cli.authorization import authorized, explanation
from carillon.cli.failure import BadInput, Failure
from carillon.http_client.proxies import Proxies
from carillon.messages.model import Document
from carillon.settings import ClientSettings, is_own_machine

M = TypeVar("M", bound=BaseModel)
Query = Mapping[str, str | list[str]]

_MOST_BYTES: Final = 64 * 1024 * 1024
_CONNECT_SECONDS: Final = 5.0
_QUESTION_SECONDS: Final = 5.0
_REFUSALS: Final = range(400, 500)


class Failed(BaseModel):
    """One entry of the answer's `failures`."""

    model_config = ConfigDict(strict=True, frozen=True)

    user_id: str = Field(alias="userId")
    channel: str
    error: str


class _Report(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    failures: list[Failed]


class _Progress(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    counts: dict[str, int]


@dataclass(frozen=True, slots=True)
class Answer:
    """What is known of a dispatch when the service answers; `counts` if it reports them.

    It was `replayed` if an earlier request with the same key started it.
    """

    dispatch_id: str
    failures: list[Failed]
    failures_total: int
    pending: int
    location: str | None
    replayed: bool = False
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wish:
    """How a message is to be accepted: waiting for seconds or not at all, once for each key."""

    wait: int | None = None
    is_async: bool = False
    key: str | None = None

    @property
    def headers(self) -> Mapping[str, str]:
        """As headers of the request."""
        asked = ["respond-async"] * self.is_async
        asked += [] if self.wait is None else [f"wait={self.wait}"]
        prefer = {"Prefer": ", ".join(asked)} if asked else {}
        return prefer if self.key is None else {**prefer, "Idempotency-Key": f'"{self.key}"'}


def post_dispatch(service: ClientSettings, body: Document, wish: Wish) -> Answer:
    """Have a message sent, and wait for what becomes of it.

    Raises:
        BadInput: the service refused the message.
        Failure: it cannot be reached, or has trouble of its own.
    """
    headers = {"Content-Type": "application/json", **wish.headers}
    # Reading the answer takes as long as the service waits, which has a limit of its own.
    timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)
    with _telling_of_trouble(service, "; whether messages left is not known"):
        with _client(service, timeout) as client:
            response = authorized(
                service,
                lambda shown: client.post(
                    f"{service.url}/send", content=to_json(body), headers={**headers, **shown}
                ),
            )
    return _answer(service, response)


class Connection:
    """A connection to a running service for any number of requests; must be closed."""

    def __init__(self, service: ClientSettings) -> None:
        self._service = service
        self._client = _client(service, httpx.Timeout(_QUESTION_SECONDS))

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def ask(self, path: str, as_a: type[M], query: Query | None = None) -> M:
        """The service's answer under a path.

        Raises:
            BadInput: the service refused.
            Failure: it cannot be reached, has trouble of its own, or is no Carillon.
        """
        with _telling_of_trouble(self._service):
            response = authorized(
                self._service,
                lambda shown: self._client.get(
                    f"{self._service.url}{path}", params=query, headers=shown
                ),
            )
        return self._read(response, as_a)

    def tell(self, method: str, path: str, as_a: type[M], body: Document | None = None) -> M:
        """What the service answers when it is to change something. Raises as `ask` does."""
        return self._read(self.exchange(method, path, body), as_a)

    def exchange(self, method: str, path: str, body: Document | None = None) -> httpx.Response:
        """The whole answer to a request that is to change something. Raises as `ask` does."""
        content = None if body is None else to_json(body)
        headers = {} if body is None else {"Content-Type": "application/json"}
        return self._send(method, path, lambda: content, headers)

    def upload(
        self, path: str, parts: Callable[[], Iterator[bytes]], size: int, as_a: type[M]
    ) -> M:
        """What the service answers to a long body of so many bytes. Raises as `ask` does."""
        headers = {"Content-Type": "application/x-ndjson", "Content-Length": str(size)}
        timeout = httpx.Timeout(None, connect=_CONNECT_SECONDS)
        return self._read(self._send("POST", path, parts, headers, timeout), as_a)

    def _send(
        self,
        method: str,
        path: str,
        content: Callable[[], bytes | Iterator[bytes] | None],
        headers: Mapping[str, str],
        timeout: httpx.Timeout | None = None,
    ) -> httpx.Response:
        with _telling_of_trouble(self._service, "; whether it took effect is not known"):
            response = authorized(
                self._service,
                lambda shown: self._client.request(
                    method,
                    f"{self._service.url}{path}",
                    content=content(),
                    headers={**headers, **shown},
                    timeout=timeout or httpx.USE_CLIENT_DEFAULT,
                ),
            )
        if not response.is_success:
            raise _trouble(self._service, response)
        return response

    def _read(self, response: httpx.Response, as_a: type[M]) -> M:
        if not response.is_success:
            raise _trouble(self._service, response)
        try:
            return as_a.model_validate_json(response.content)
        except ValidationError:
            raise _no_carillon(self._service) from None


@contextmanager
def _telling_of_trouble(service: ClientSettings, besides: str = "") -> Iterator[None]:
    try:
        yield
    except (httpx.ConnectError, httpx.ConnectTimeout):
        raise Failure(
            f"No service answers at {service.url}; start one with `carillon serve` or "
            "`carillon demo`, or name another in CARILLON_URL"
        ) from None
    except httpx.HTTPError as error:
        trouble = f"The call to {service.url} broke off ({str(error) or 'no answer'})"
        raise Failure(f"{trouble}{besides}") from None


def _client(service: ClientSettings, timeout: httpx.Timeout) -> httpx.Client:
    # Requests to this machine, and above all the token, must not go through a proxy.
    url = httpx.URL(service.url)
    is_here = is_own_machine(url.host)
    return httpx.Client(
        timeout=timeout,
        # httpx itself would read every proxy of the environment, and fail for one that is not used.
        proxy=None if is_here else Proxies().on_the_way_to(url.scheme, url.netloc.decode()),
        verify=True if is_here else httpx.create_ssl_context(),
        trust_env=False,
        headers={"Accept-Encoding": "identity"},
        event_hooks={"response": [_bound]},
    )


def _bound(response: httpx.Response) -> None:
    """See that no more of an answer is read than a Carillon would give."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise httpx.DecodingError("it is packed, which was not asked for")
    if isinstance(response.stream, httpx.SyncByteStream):
        response.stream = _Bounded(response.stream)


class _Bounded(httpx.SyncByteStream):
    """A body that breaks off once it is too long."""

    def __init__(self, stream: httpx.SyncByteStream) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._stream:
            size += len(part)
            if size > _MOST_BYTES:
                raise httpx.ReadError(f"its answer is larger than {_MOST_BYTES:,} bytes")
            yield part

    def close(self) -> None:
        self._stream.close()


def _answer(service: ClientSettings, response: httpx.Response) -> Answer:
    if response.status_code not in {200, 202}:
        raise _trouble(service, response)
    try:
        failures = _Report.model_validate_json(response.content).failures
        return Answer(
            dispatch_id=response.headers["Dispatch-Id"],
            failures=failures,
            failures_total=int(response.headers.get("Failures-Total", len(failures))),
            pending=int(response.headers.get("Deliveries-Pending", 0)),
            location=_absolute(response, response.headers.get("Location")),
            replayed=response.headers.get("Idempotency-Replayed") == "true",
            counts=_counts(service, response.headers["Dispatch-Id"]),
        )
    except (ValidationError, KeyError, ValueError):
        raise _no_carillon(service) from None


def _no_carillon(service: ClientSettings) -> Failure:
    return Failure(f"What answers at {service.url} is no Carillon")


def _absolute(response: httpx.Response, location: str | None) -> str | None:
    return None if location is None else str(response.url.join(location))


def _trouble(service: ClientSettings, response: httpx.Response) -> Failure:
    try:
        message = str(response.json()["message"])
    except (ValueError, KeyError, TypeError):
        message = response.reason_phrase
    sentence = f"The service answered {response.status_code}: {message}"
    is_unknown = response.status_code == httpx.codes.UNAUTHORIZED
    if is_unknown or (response.status_code == httpx.codes.FORBIDDEN and service.api_key):
        sentence += f"; {explanation(service)}"
    if response.status_code in _REFUSALS:
        return BadInput(sentence)
    again = response.headers.get("Retry-After")
    return Failure(sentence if again is None else f"{sentence}; try again in {again} s")


def _counts(service: ClientSettings, dispatch_id: str) -> Mapping[str, int]:
    """Deliveries by outcome; empty if the service does not report them."""
    try:
        with _client(service, httpx.Timeout(_QUESTION_SECONDS)) as client:
            response = authorized(
                service,
                lambda shown: client.get(f"{service.url}/dispatches/{dispatch_id}", headers=shown),
            )
        return _Progress.model_validate_json(response.raise_for_status().content).counts
    except (httpx.HTTPError, ValidationError):
        return {}
