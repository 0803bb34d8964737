"""What is sent, so that every contender sends the same bytes; imports nothing that takes memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

CLUSTER: Final = "everyone"
SENDER: Final = "Shop"
TEXT: Final = "Hello {{user.name}}, your order {{user.order}} has left our shop. Thank you!"
_FIRST_NUMBER: Final = 3_000_000_000
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
