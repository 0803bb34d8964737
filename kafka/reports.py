"""What became of a message that was produced; nothing here needs the client of Kafka."""

from __future__ import annotations

from dataclasses import dataclass, field

from carillon.messages.model import FailureKind


@dataclass(frozen=True, slots=True)
class Stored:
    """The cluster has the message; `place` is `topic/partition/offset`."""

    place: str


@dataclass(frozen=True, slots=True)
class NotStored:
    """The cluster does not have it; when it is `refused`, it never will."""

    error: str
    refused: bool = False
    kind: FailureKind | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Unreported:
    """Nobody can tell whether the cluster has it."""

    error: str
    kind: FailureKind | None = field(default=None, compare=False)


Report = Stored | NotStored | Unreported
