"""The one place that turns an answer into an attempt: accepted, refused, unavailable, unanswered.

The rules are those of the decided cases in `product.md`: 2xx is accepted whatever the body says,
3xx is not followed, 408, 425, 429 and 5xx may pass, but 504 leaves open what happened.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Final

from pydantic_core import from_json

from carillon.http_client.errors import FOREIGN
from carillon.http_client.ports import NotAnswered, NotSent, Reply, Response, Started, Wire
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    Delivery,
    Document,
    JsonValue,
    Postponed,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.providers.ports import Exchange
from carillon.providers.privacy import scrubbed

_ASCTIME: Final = re.compile(
    r"[A-Z][a-z]{2} ([A-Z][a-z]{2}) ([ 0-3]?[0-9]) ([0-9:]{8}) ([0-9]{4})", re.ASCII
)
"""As in `Sun Nov  6 08:49:37 1994`, which is in GMT."""
_ID: Final = re.compile(r"[!-~]{1,200}")
TRANSIENT: Final = frozenset({408, 425, 429})
OF_MESSAGE: Final = frozenset({400, 409, 410, 413, 422})
"""What is answered to a message that cannot be taken, whoever sends it."""
LONGEST_PAUSE: Final = 3600.0
"""A provider that asks for more seconds is asked again after these."""

Explain = Callable[[Document], JsonValue]
"""Finds the text for people in an error's body."""
Identify = Callable[[Document], JsonValue]
"""Finds the provider's own id of a message in a success's body."""


def mia_message(body: Document) -> JsonValue:
    """The text of Mia-Platform's error shape (contracts 1.3, 1.8)."""
    return body.get("message")


def no_id(_: Document) -> JsonValue:
    """For services that name no message."""
    return None


async def exchanged(
    wire: Wire, exchange: Exchange, delivery: Delivery, started: Started
) -> Attempt:
    """Make the call that one exchange is, for providers that are a `SingleExchange`."""
    request = exchange.request
    reply = await wire.exchange(request.method, request.url, request.headers, request.body, started)
    return exchange.read(reply, delivery)


def attempt(
    reply: Reply,
    service: str,
    delivery: Delivery,
    explain: Explain = mia_message,
    identify: Identify = no_id,
    secrets: Iterable[str] = (),
) -> Attempt:
    """What an exchange meant for this delivery. `service` is the name that people know.

    What authenticated the request are `secrets`: no error shows them, whatever was answered.
    """
    if isinstance(reply, NotSent):
        return unsent(reply, service)
    if isinstance(reply, NotAnswered):
        return Unanswered(f"{service}: {reply.error}", Cause(reply.kind))
    status = reply.status
    if 200 <= status < 300:  # noqa: PLR2004 - what nearly every answer is: no enumeration's detour
        message_id = short_id(identify(document(reply.body)))
        if message_id is None or reply.is_ours(message_id):
            return Accepted(message_id, status)
        return Unanswered(f"{service}: {FOREIGN}", Cause("garbage", status))
    return failed(reply, error_text(reply, service, delivery, explain, secrets))


def failed(reply: Response, error: str) -> Attempt:
    """What an answer means that is no success. `error` is text for people."""
    status, cause = reply.status, answered(reply.status)
    if status < HTTPStatus.OK or status == HTTPStatus.GATEWAY_TIMEOUT:
        return Unanswered(error, cause)
    if status in TRANSIENT or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        is_throttled = status == HTTPStatus.TOO_MANY_REQUESTS
        return Unavailable(error, retry_after(reply), is_throttled, cause)
    return Refused(error, cause=cause)


def answered(status: int, *, of_message: bool = False) -> Cause:
    """The cause that an answer's status is; what comes before an answer is none."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return Cause("http-5xx", status)
    if status >= HTTPStatus.BAD_REQUEST:
        return Cause("http-4xx", status, of_message or status in OF_MESSAGE)
    return Cause("http-3xx" if status >= HTTPStatus.MULTIPLE_CHOICES else "garbage", status)


def refused_within(status: int, *, of_message: bool = False) -> Cause:
    """The cause that a success is whose body tells of a refusal."""
    return Cause("http-4xx", status, of_message)


def unsent(reply: NotSent, service: str) -> Unavailable | Postponed:
    """What it means that nothing was sent."""
    error = f"{service}: {reply.error}"
    if reply.again_in is None:
        return Unavailable(error, cause=Cause(reply.kind))
    return Postponed(error, reply.again_in)


def unreached(problem: NotSent | None, service: str) -> str | None:
    """Why a service cannot be connected to, in words; None when it can."""
    return None if problem is None else f"{service}: {problem.error}"


def error_text(
    reply: Response,
    service: str,
    delivery: Delivery,
    explain: Explain = mia_message,
    secrets: Iterable[str] = (),
) -> str:
    """For people: who answered what, and why when it says so; addresses and texts taken out."""
    said = explain(document(reply.body))
    why = scrubbed(said, delivery, secrets) if isinstance(said, str) else ""
    return f"{service} answered {reply.status}" + (f": {why}" if why else "")


def document(body: bytes) -> Document:
    """The JSON object that a body holds, or an empty one: answers are never trusted."""
    try:
        value: JsonValue = from_json(body) if body else None
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def retry_after(reply: Response, now: Callable[[], float] = time.time) -> float | None:
    """The seconds of `Retry-After` on a 429 or 503, clamped; None when absent or not readable.

    RFC 9110, 10.2.3: seconds or an HTTP-date. A date is measured from the answer's own `Date`
    when it has one, so that differing clocks do no harm.
    """
    if reply.status not in (429, 503):
        return None
    value = reply.headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return min(float(value), LONGEST_PAUSE)
    until = _timestamp(value)
    if until is None:
        return None
    since = _timestamp(reply.headers.get("date", ""))
    return min(max(until - (now() if since is None else since), 0.0), LONGEST_PAUSE)


def _timestamp(date: str) -> float | None:
    """Seconds since 1970 of an HTTP-date, in any of its three forms."""
    if match := _ASCTIME.fullmatch(date.strip()):
        month, day, time_of_day, year = match.groups()
        date = f"{day} {month} {year} {time_of_day} GMT"
    try:
        return parsedate_to_datetime(date if date.rstrip().endswith("GMT") else "").timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def short_id(value: JsonValue) -> str | None:
    """An id fit for journals and logs: one printable word of at most 200 characters."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None
