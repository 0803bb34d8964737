"""What is written together, and its JSON in the redo log.

What rows that follow each other share is kept and written once: so a group has some lists of texts
in place of an object a row, which costs the loop, the writer of the tables and the log less.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pydantic_core import from_json, to_json

from carillon.messages.model import Channel, Cursor, JsonValue, Outcome, Reason, Receipt
from carillon.messages.ports.journal import (
    AttemptEnd,
    AttemptStart,
    Enrolment,
    IdempotencyKey,
    NewDispatch,
    Progress,
)
from carillon.messages.record import record

End = Receipt | AttemptEnd


@dataclass(frozen=True, slots=True)
class Opening:
    """A new dispatch with its first deliveries."""

    dispatch: NewDispatch
    rows: Sequence[Enrolment] = ()
    withdraw: Callable[[], None] | None = None
    """Called when it could not be written, before anybody who waits for that goes on."""


@record(frozen=True, slots=True)
class Enrolled:
    """Deliveries of one channel that are new, and where reading its audience goes on then.

    `texts` are the key and the user of each.
    """

    dispatch_id: str
    progress: Progress
    texts: Sequence[str]


@record(frozen=True, slots=True)
class Starts:
    """Attempts that follow each other and share all but the key of their delivery."""

    dispatch_id: str
    channel: Channel
    number: int
    provider: str
    keys: list[str]


@record(frozen=True, slots=True)
class Outcomes:
    """Outcomes that follow each other and share all but two texts of each delivery.

    `texts` are its key and the provider's id of its message, which is "" without one.
    """

    dispatch_id: str
    channel: Channel
    outcome: Outcome
    reason: Reason
    error: str
    provider: str | None
    attempts: int
    texts: list[str]

    @property
    def keys(self) -> list[str]:
        """The key of each delivery."""
        return self.texts[::2]

    def pairs(self) -> Iterator[tuple[str, str]]:
        """The two texts of each delivery."""
        return pairs(self.texts)

    def of(self, texts: list[str]) -> Outcomes:
        """The same outcome of other deliveries."""
        return replace(self, texts=texts)


@dataclass(frozen=True, slots=True)
class Batch:
    """What was handed over together at a time, in milliseconds since 1970.

    `ends` are those of attempts after which their deliveries went on. `number` is that of the redo
    log, 0 for what is in no log; `revision` that of the last commit before it was logged, which the
    tables that it belongs to have.
    """

    at: int
    openings: Sequence[Opening] = ()
    enrolled: Sequence[Enrolled] = ()
    starts: Sequence[Starts] = ()
    ends: Sequence[AttemptEnd] = ()
    outcomes: Sequence[Outcomes] = ()
    number: int = 0
    revision: int = 0

    @property
    def deliveries(self) -> int:
        """How many deliveries it enrols."""
        return sum(len(one.texts) // 2 for one in self.enrolled) + sum(
            len(one.rows) for one in self.openings
        )


def pairs(texts: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Texts two by two."""
    one = iter(texts)
    return zip(one, one, strict=True)


def starts_of(attempts: Iterable[AttemptStart]) -> list[Starts]:
    """Attempts in their order, by what they share."""
    found: list[Starts] = []
    before: tuple[object, ...] = ()
    keys: list[str] = []
    for one in attempts:
        shared = (one.dispatch_id, one.channel, one.number, one.provider)
        if shared != before:
            before, keys = shared, []
            found.append(Starts(*shared, keys))
        keys.append(one.key)
    return found


def outcomes_of(receipts: Iterable[Receipt]) -> list[Outcomes]:
    """Outcomes in their order, by what they share."""
    found: list[Outcomes] = []
    before: tuple[object, ...] = ()
    texts: list[str] = []
    for one in receipts:
        ending = (one.outcome, one.reason, one.error, one.provider, one.attempts)
        shared = (one.dispatch_id, one.channel, *ending)
        if shared != before:
            before, texts = shared, []
            found.append(Outcomes(one.dispatch_id, one.channel, *ending, texts))
        texts += (one.key, one.provider_message_id or "")
    return found


def group_text(group: Batch) -> bytes:
    """A group for the redo log."""
    rows = [
        group.at,
        [_opening(one) for one in group.openings],
        [
            (one.dispatch_id, one.channel, one.number, one.provider, one.keys)
            for one in group.starts
        ],
        [
            (one.dispatch_id, one.channel, one.key, one.number, one.result, one.error)
            for one in group.ends
        ],
        [
            (
                one.dispatch_id,
                one.channel,
                one.outcome,
                one.reason,
                one.error,
                one.provider,
                one.attempts,
                one.texts,
            )
            for one in group.outcomes
        ],
        group.revision,
        [_enrolled(one) for one in group.enrolled],
    ]
    try:
        return to_json(rows)
    except ValueError:  # a provider's answer may hold half a character
        return json.dumps(rows, ensure_ascii=False).encode(errors="replace")


def _opening(one: Opening) -> tuple[object, ...]:
    dispatch, key = one.dispatch, one.dispatch.key
    return (
        dispatch.id,
        dispatch.channels,
        dispatch.request,
        None if key is None else (key.caller, key.route, key.key, key.fingerprint),
        [(row.channel, row.key, row.user_id) for row in one.rows],
        dispatch.caller,
        dispatch.total,
        dispatch.is_read,
    )


def _enrolled(one: Enrolled) -> tuple[object, ...]:
    progress, cursor = one.progress, one.progress.cursor
    place = (cursor.position, cursor.after, progress.is_read)
    return one.dispatch_id, progress.channel, *place, one.texts


def read_group(text: bytes, number: int) -> Batch:
    """The group in such a text. Raises ValueError."""
    rows = cast("list[list[list[JsonValue]]]", from_json(text))
    at, openings, starts, ends, outcomes, *later = rows
    revision = cast("int", later.pop(0)) if later else 0  # it came later, and then what is enrolled
    return Batch(
        cast("int", at),
        [_read_opening(*row) for row in openings],  # type: ignore[arg-type]  # as they were written
        [_read_enrolled(*row) for part in later for row in part],  # type: ignore[arg-type]
        [_read_starts(row) for row in starts],
        [AttemptEnd(*row) for row in ends],  # type: ignore[arg-type]
        [_read_outcomes(row, has_users=not later) for row in outcomes],
        number,
        revision,
    )


def _read_opening(
    identity: str,
    channels: list[Channel],
    request: str,
    key: list[str] | None,
    rows: list[list[str]],
    caller: str = "",
    total: int | None = None,
    is_read: bool = False,  # noqa: FBT001 - a column; earlier versions wrote no such ones
) -> Opening:
    named = None if key is None else IdempotencyKey(key[0], key[1], key[2], key[3])
    enrolments = [Enrolment(*row) for row in rows]  # type: ignore[arg-type]
    new = NewDispatch(identity, channels, request, named, caller, total, is_read)
    return Opening(new, enrolments)


def _read_enrolled(
    dispatch_id: str,
    channel: Channel,
    position: int,
    after: str | None,
    is_read: bool,  # noqa: FBT001 - a column
    texts: list[str],
) -> Enrolled:
    return Enrolled(dispatch_id, Progress(channel, Cursor(position, after), is_read), texts)


def _read_starts(row: list[JsonValue]) -> Starts:
    if not isinstance(row[-1], list):  # earlier versions wrote each by itself
        dispatch_id, channel, key, number, provider = row
        row = [dispatch_id, channel, number, provider, [key]]
    return Starts(*row)  # type: ignore[arg-type]


def _read_outcomes(row: list[JsonValue], *, has_users: bool) -> Outcomes:
    if not isinstance(row[-1], list):  # likewise
        dispatch_id, channel, key, user_id, *ending, message_id = row
        row = [dispatch_id, channel, *ending, [key, user_id, message_id]]
    *shared, texts = row
    if has_users and isinstance(texts, list):  # they wrote the user of each, too
        texts = [one or "" for at, one in enumerate(texts) if at % 3 != 1]
    return Outcomes(*shared, texts)  # type: ignore[arg-type,call-arg]
