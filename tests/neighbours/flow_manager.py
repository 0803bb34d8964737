"""A stand-in of our own for Mia-Platform's Flow Manager 2.6, after contracts 1.6.

It enforces the schema of `POST /event`, which lets no further property pass. `answers` go out
first, one a request, in place of its own; `refusing` answers 400 to labels that it does not expect;
while `is_down` is set every connection is reset.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field

import jsonschema  # type: ignore[import-untyped]  # it ships no types

from carillon.messages.model import Document, JsonValue
from tests.neighbours.http import Answer, Request, json_answer, mia_error

SCHEMA: Document = {
    "type": "object",
    "required": ["key", "value"],
    "additionalProperties": False,
    "properties": {
        "key": {"type": "string"},
        "value": {
            "type": "object",
            "required": ["messageLabel", "messagePayload"],
            "additionalProperties": False,
            "properties": {"messageLabel": {"type": "string"}, "messagePayload": {}},
        },
    },
}


@dataclass(frozen=True, slots=True)
class ServiceAnswer:
    """An event that was accepted. Those with one `idempotency_key` are one event, repeated."""

    key: str
    label: str
    payload: JsonValue
    idempotency_key: str


@dataclass
class FlowManager:
    """A handler for `serve`."""

    answers: deque[Answer] = field(default_factory=deque)
    refusing: Collection[str] = ()
    is_down: bool = False
    delay: float = 0.0
    events: list[ServiceAnswer] = field(default_factory=list)

    def labels(self, key: str) -> list[str]:
        """What a saga was told, in order, repeats left out."""
        told = dict.fromkeys(
            (event.idempotency_key, event.label) for event in self.events if event.key == key
        )
        return [label for _, label in told]

    async def __call__(self, request: Request) -> Answer:
        if self.is_down:
            return Answer(fault="reset")
        if (request.method, request.path.rsplit("/", 1)[-1]) != ("POST", "event"):
            return mia_error(404, f"Route {request.method}:{request.path} not found")
        if not request.headers.get("content-type", "").startswith("application/json"):
            return mia_error(415, "unsupported media type")
        try:
            jsonschema.validate(request.json(), SCHEMA)
        except jsonschema.ValidationError as error:
            return mia_error(400, error.message)
        return self.answers.popleft() if self.answers else self._take(request)

    def _take(self, request: Request) -> Answer:
        body = request.json()
        assert isinstance(body, dict)
        value = body["value"]
        assert isinstance(value, dict)
        key, label = str(body["key"]), str(value["messageLabel"])
        if label in self.refusing:
            return mia_error(400, f"unexpected event {label}")
        name = request.headers.get("idempotency-key", "")
        self.events.append(ServiceAnswer(key, label, value["messagePayload"], name))
        answer = json_answer({"message": "event accepted"})
        return Answer(answer.status, answer.body, answer.headers, delay=self.delay)
