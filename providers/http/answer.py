"""Reads what an answer means, by a section's rules; without them by those of all providers."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from pydantic_core import from_json

from carillon.http_client.errors import FOREIGN
from carillon.http_client.ports import NotAnswered, NotSent, Reply, Response
from carillon.messages.model import (
    Accepted,
    Attempt,
    Cause,
    Delivery,
    JsonValue,
    Refused,
    Unanswered,
    Unavailable,
)
from carillon.providers.http import pointer
from carillon.providers.privacy import scrubbed
from carillon.providers.responses import (
    LONGEST_PAUSE,
    answered,
    failed,
    retry_after,
    short_id,
    unsent,
)

if TYPE_CHECKING:
    from carillon.providers.http.keys import AcceptedKeys, FieldKeys, RuleKeys, Scalar, WaitKeys

_NUMBER: Final = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")
_NO_CONTENT: Final = 204
_SECRET: Final = 8
"""Characters of what is no accident in a message id."""
_SUCCESS: Final = range(200, 300)
_EXPLAINED: Final = tuple(
    pointer.parsed(text)
    for text in (
        "/message",
        "/Message",
        "/error/message",
        "/errors/0/message",
        "/errors/0/detail",
        "/errors/0/description",
        "/errors/0/title",
        "/requestError/serviceException/text",
        "/errorDescription",
        "/error_description",
        "/detail",
        "/description",
        "/text",
        "/error",
    )
)
"""Where the APIs of providers put the words for people, the usual place first."""


class _Unreadable(Exception):
    """The answer's body is no JSON, or not all of it came."""


class _Body:
    """An answer's body, read when somebody asks for it."""

    def __init__(self, reply: Response) -> None:
        self._reply = reply
        self._json: JsonValue = None
        self._is_read = self._is_json = False

    def at(self, place: pointer.Pointer) -> JsonValue:
        """What stands there; all of it is a text where it is no JSON. Raises _Unreadable."""
        self._read()
        if self._is_json:
            return pointer.at(self._json, place)
        if place:
            raise _Unreadable
        return self._reply.body.decode(errors="replace").strip()

    def _read(self) -> None:
        if self._is_read:
            return
        self._is_read = True
        body = self._reply.body.removeprefix(b"\xef\xbb\xbf")
        if not body.strip():
            self._is_json = is_empty(self._reply)
            return
        try:
            self._json = from_json(body, allow_inf_nan=False)
            self._is_json = True
        except ValueError:
            pass


def is_empty(reply: Response) -> bool:
    """Whether an answer has no body, and says so: else it may have been lost on its way."""
    return reply.status == _NO_CONTENT or reply.headers.get("content-length") == "0"


class AnswerReader:
    """What the answers to a provider's requests mean. `hidden` are texts that no error shows."""

    def __init__(
        self,
        service: str,
        accepted: AcceptedKeys,
        rules: Sequence[RuleKeys],
        hidden: Collection[str],
    ) -> None:
        self._service = service
        self._accepted = accepted
        self._rules = rules
        self._hidden = sorted(hidden, key=len, reverse=True)
        self._secrets = [one for one in self._hidden if len(one) >= _SECRET]

    def attempt(self, reply: Reply, delivery: Delivery) -> Attempt:
        """What an exchange meant for this delivery."""
        if isinstance(reply, NotSent):
            return unsent(reply, self._service)
        if isinstance(reply, NotAnswered):
            return Unanswered(f"{self._service}: {reply.error}", Cause(reply.kind))
        body = _Body(reply)
        try:
            rule = self._matching(reply, body)
        except _Unreadable:
            error = f"{self._service} answered {reply.status}, and what decides could not be read"
            return Unanswered(error, Cause("garbage", reply.status))
        if rule is not None:
            return self._by_rule(rule, reply, body, delivery)
        return self._without_rule(reply, body, delivery)

    def _without_rule(self, reply: Response, body: _Body, delivery: Delivery) -> Attempt:
        if reply.status in self._accepted.statuses:
            return self._taken(reply, body)
        error = self._error(reply, body, delivery)
        if reply.status in _SUCCESS:
            return Unanswered(f"{error}, which `accepted` does not name", answered(reply.status))
        return failed(reply, error)

    def _matching(self, reply: Response, body: _Body) -> RuleKeys | None:
        """The first rule that matches.

        Raises:
            _Unreadable: a rule would decide what a success means, and its body cannot be read.
        """
        for rule in self._rules:
            if rule.statuses is not None and reply.status not in rule.statuses:
                continue
            if rule.pointer is None:
                return rule
            try:
                value = body.at(rule.pointer)
            except _Unreadable:
                if reply.status in _SUCCESS:
                    raise
                continue
            if value is not None and (rule.values is None or _is_among(value, rule.values)):
                return rule
        return None

    def _by_rule(self, rule: RuleKeys, reply: Response, body: _Body, delivery: Delivery) -> Attempt:
        if rule.means == "accepted":
            return self._taken(reply, body)
        error, status = self._error(reply, body, delivery), reply.status
        is_refused = rule.means == "refused"
        cause = answered(status)
        if status < HTTPStatus.BAD_REQUEST:  # the failure stands in the body
            cause = Cause("http-4xx", status, of_message=is_refused)
        if is_refused:
            return Refused(error, cause=cause)
        wait = None if rule.wait is None else _seconds(rule.wait, reply, body)
        pause = retry_after(reply) if wait is None else wait
        return Unavailable(error, pause, rule.means == "throttled", cause)

    def _taken(self, reply: Response, body: _Body) -> Attempt:
        message_id = self._message_id(reply, body)
        if message_id is None or reply.is_ours(message_id):
            return Accepted(message_id, reply.status)
        return Unanswered(f"{self._service}: {FOREIGN}", Cause("garbage", reply.status))

    def _message_id(self, reply: Response, body: _Body) -> str | None:
        place = self._accepted.message_id
        value = None if place is None else _field(place, reply, body)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        found = short_id(value.strip() if isinstance(value, str) else None)
        return None if found is None or any(one in found for one in self._secrets) else found

    def _error(self, reply: Response, body: _Body, delivery: Delivery) -> str:
        why = scrubbed(next(_explanations(body), ""), delivery, self._hidden)
        return f"{self._service} answered {reply.status}" + (f": {why}" if why else "")


def _explanations(body: _Body) -> Iterator[str]:
    """What an answer says for people; a short text that is no JSON says it as it is."""
    with suppress(_Unreadable):
        found = map(body.at, _EXPLAINED)
        yield from (said for said in found if isinstance(said, str) and said)
    whole = body.at(())
    if isinstance(whole, str) and not whole.startswith("<"):
        yield whole


def _is_among(value: JsonValue, values: Sequence[Scalar]) -> bool:
    """Whether it is one of them; `true` is not `1`."""
    return any(value == one and isinstance(value, bool) == isinstance(one, bool) for one in values)


def _field(place: FieldKeys, reply: Response, body: _Body) -> JsonValue:
    if place.header is not None:
        return reply.headers.get(place.header.lower())
    try:
        return body.at(place.pointer or ())
    except _Unreadable:
        return None


def _seconds(place: WaitKeys, reply: Response, body: _Body) -> float | None:
    """The wait that an answer asks for, clamped; None if it says none."""
    value = _field(place, reply, body)
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    if isinstance(value, str) and not _NUMBER.fullmatch(value := value.strip()):
        return None
    seconds = float(min(max(float(value), 0.0), 1e12)) / (1000 if place.unit == "ms" else 1)
    return min(seconds, LONGEST_PAUSE)
