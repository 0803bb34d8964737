"""A stand-in of our own for Mia-Platform's SMS service 1.2, after contracts 1.3.

`holds` is its exponential delay: the n-th request to one number within the test is held open that
many seconds, twice as long each time. `most_a_number` is how many were open to one number at once.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import dataclass
from itertools import count

import trio

from tests.neighbours.http import Answer, Request, json_answer, mia_error

E164 = re.compile(r"\+[1-9][0-9]{1,14}")
SENDER = re.compile(r"\+[1-9][0-9]{1,14}|[A-Za-z0-9 ]{1,11}")
LONGEST = 1600


@dataclass(frozen=True, slots=True)
class Sms:
    """An SMS that was accepted."""

    sender: str
    receiver: str
    body: str


class SmsService:
    """A handler for `serve`. `answers` go out first, one a request, in place of its own."""

    def __init__(self, *answers: Answer, holds: float = 0.0) -> None:
        self.messages: list[Sms] = []
        self.answers = deque(answers)
        self.most_a_number = 0
        self._holds = holds
        self._numbers = count(1)  # an id is given once, whatever a test forgets
        self._seen: Counter[str] = Counter()
        self._open: Counter[str] = Counter()

    async def __call__(self, request: Request) -> Answer:
        if (request.method, request.path.rsplit("/", 1)[-1]) != ("POST", "send"):
            return mia_error(404, f"Route {request.method}:{request.path} not found")
        sms = _read(request)
        if isinstance(sms, str):
            return mia_error(400, sms)
        await self._hold(sms.receiver)
        if self.answers:
            return self.answers.popleft()
        self.messages.append(sms)
        return json_answer(
            {
                "dateEvent": "2024-01-01T00:00:00.000Z",
                "numSegments": "1",
                "sid": f"SM{next(self._numbers):032x}",
                "status": "sent",
            }
        )

    async def _hold(self, number: str) -> None:
        self._open[number] += 1
        self.most_a_number = max(self.most_a_number, self._open[number])
        try:
            if self._holds and self._seen[number]:
                await trio.sleep(self._holds * 2 ** (self._seen[number] - 1))
            self._seen[number] += 1
        finally:
            self._open[number] -= 1


def _read(request: Request) -> Sms | str:
    """The SMS, or what is wrong with the request."""
    if not request.headers.get("content-type", "").startswith("application/json"):
        return "unsupported media type"
    body = request.json()
    if not isinstance(body, dict):
        return "body must be object"
    texts: dict[str, str] = {}
    for name in ("sender", "receiver", "body"):
        value = body.get(name)
        if not isinstance(value, str) or not value:
            return f"body must have required property '{name}'"
        texts[name] = value
    sms = Sms(texts["sender"], texts["receiver"], texts["body"])
    if not E164.fullmatch(sms.receiver):
        return "body/receiver must be an E.164 number"
    if not SENDER.fullmatch(sms.sender):
        return "body/sender must be an E.164 number or alphanumeric"
    return sms if len(sms.body) <= LONGEST else "body/body must NOT have more than 1600 characters"
