"""What is sent, so that every contender sends the same bytes, and the proof that it arrived once.

Imports nothing that takes memory: the peers import it too.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

CLUSTER: Final = "everyone"
SENDER: Final = "Shop"
TEXT: Final = "Hello {{user.name}}, your order {{user.order}} has left our shop. Thank you!"
TEMPLATE: Final = {
    "_id": "5df8aff66498d30011b19e4d",
    "name": "Order",
    "smsMessage": (
        "Hello {{user.name}}, your order {{data.order}} of {{data.total}} has left our shop."
    ),
}
COMMAND: Final = {"channels": "channels", "recipients": "recipient", "templateId": "template"}
"""Where a saga's command holds what: `metadataSchema`."""
EVENTS: Final = {"successEventLabel": "sent", "failEventLabel": "failed"}
_FIRST_NUMBER: Final = 3_000_000_000
_RECEIVER: Final = b'"receiver":"'
_BODY: Final = (
    b'{"sender":"Shop","receiver":"+39%d",'
    b'"body":"Hello Ada %d, your order CX-%d has left our shop. Thank you!"}'
)


def address(index: int) -> str:
    """The phone number of a user, in a row: the provider can tell from it who was left out."""
    return f"+39{_FIRST_NUMBER + index}"


def user_id(index: int) -> str:
    """The id of a user."""
    return f"user-{index:07d}"


def user(index: int, clusters: Sequence[str] = (CLUSTER,)) -> dict[str, object]:
    """The document of a user."""
    return {
        "_id": user_id(index),
        "name": f"Ada {index}",
        "order": f"CX-{index}",
        "phoneNumber": address(index),
        "emailAddress": f"ada-{index}@shop.example",
        "clusters": list(clusters),
    }


def message(index: int) -> Mapping[str, str]:
    """What the SMS service is sent for one user, as a peer would build it."""
    text = f"Hello Ada {index}, your order CX-{index} has left our shop. Thank you!"
    return {"sender": SENDER, "receiver": address(index), "body": text}


def message_bytes(index: int) -> bytes:
    """The same, written by hand."""
    return _BODY % (_FIRST_NUMBER + index, index, index)


def dispatch(channel: str = "sms", **audience: Sequence[str]) -> dict[str, object]:
    """The body of a `POST /send` over one channel for `clusters` or `recipients`."""
    return {"channels": [channel], "messageTitle": "Order", "messageContent": TEXT, **audience}


def command(key: str, user_id: str) -> dict[str, object]:
    """The body of a `POST /saga/send` for one user over sms."""
    payload = {
        "channels": ["sms"],
        "recipient": user_id,
        "template": TEMPLATE["_id"],
        "order": key,
        "total": 12.5,
    }
    return {"key": key, "value": {"messageLabel": "tell", "messagePayload": payload}}


class WrongResultError(Exception):
    """A contender did not do the job; its figures are worth nothing."""


@dataclass(frozen=True, slots=True)
class Tally:
    """Messages that arrived since the last time somebody asked."""

    requests: int
    receivers: int
    lowest: str
    highest: str
    bytes: int

    def check_each_once(self, users: int, besides: Sequence[int] = ()) -> None:
        """Raise WrongResultError unless users 0 to `users - 1` each got one message, and theirs.

        `besides` names a user with a higher number for each further message.
        """
        size = sum(
            len(message_bytes(index)) for numbers in (range(users), besides) for index in numbers
        )
        last = max(besides, default=users - 1)
        receivers = users + len(set(besides))
        wanted = Tally(users + len(besides), receivers, address(0), address(last), size)
        if self != wanted:
            raise WrongResultError(f"{wanted} was to arrive, but what arrived is {self}")

    def check_number(self, messages: int) -> None:
        """Raise WrongResultError unless so many messages arrived."""
        if self.requests != messages:
            raise WrongResultError(f"{messages} messages were to arrive; arrived: {self.requests}")


class Counting:
    """Counts messages by receiver, as cheaply as Python can."""

    def __init__(self) -> None:
        self.count = 0
        self._seen: Counter[bytes] = Counter()
        self._bytes = 0

    def add(self, body: bytes) -> None:
        """Count one message."""
        self.count += 1
        start = body.find(_RECEIVER) + len(_RECEIVER)
        self._seen[body[start : body.find(b'"', start)]] += 1
        self._bytes += len(body)

    def take(self) -> bytes:
        """The tally as JSON; counting begins anew."""
        seen = self._seen
        tally = Tally(
            requests=self.count,
            receivers=len(seen),
            lowest=min(seen, default=b"").decode(),
            highest=max(seen, default=b"").decode(),
            bytes=self._bytes,
        )
        self.count, self._seen, self._bytes = 0, Counter(), 0
        return json.dumps(asdict(tally)).encode()
