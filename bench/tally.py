"""What the provider's stand-in saw: the proof that a run did its job, and did it once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Final

from bench.workload import address, message_bytes

_RECEIVER: Final = b'"receiver":"'


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
