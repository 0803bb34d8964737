"""What is written together, and its JSON in the redo log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

from pydantic_core import from_json, to_json

from carillon.messages.model import Channel, JsonValue, Receipt, delivery_id
from carillon.messages.ports.journal import (
    AttemptEnd,
    AttemptStart,
    Enrolment,
    IdempotencyKey,
    NewDispatch,
)

End = Receipt | AttemptEnd


@dataclass(frozen=True, slots=True)
class Opening:
    """A new dispatch with its first deliveries."""

    dispatch: NewDispatch
    rows: Sequence[Enrolment] = ()
    withdraw: Callable[[], None] | None = None
    """Called when it could not be written, before anybody who waits for that goes on."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What was handed over together at a time, in milliseconds since 1970.

    `number` is that of the redo log, 0 for what is in no log; `revision` that of the last commit
    before it was logged, which the tables that it belongs to have.
    """

    at: int
    openings: Sequence[Opening] = ()
    starts: Sequence[AttemptStart] = ()
    ends: Sequence[End] = ()
    number: int = 0
    revision: int = 0


def group_text(group: Batch) -> bytes:
    """A group for the redo log. What several rows in a row share is written once."""
    receipts = [one for one in group.ends if isinstance(one, Receipt)]
    rows = [
        group.at,
        [_opening(one) for one in group.openings],
        _starts(group.starts),
        []
        if len(receipts) == len(group.ends)
        else [
            (one.dispatch_id, one.channel, one.key, one.number, one.result, one.error)
            for one in group.ends
            if isinstance(one, AttemptEnd)
        ],
        _outcomes(receipts),
        group.revision,
    ]
    try:
        return to_json(rows)
    except ValueError:  # a provider's answer may hold half a character
        return json.dumps(rows, ensure_ascii=False).encode(errors="replace")


def _starts(starts: Sequence[AttemptStart]) -> list[list[object]]:
    """What attempts that follow each other share, and then the key of each."""
    written: list[list[object]] = []
    before: tuple[object, ...] = ()
    keys: list[str] = []
    for one in starts:
        shared = (one.dispatch_id, one.channel, one.number, one.provider)
        if shared != before:
            before, keys = shared, []
            written.append([*shared, keys])
        keys.append(one.key)
    return written


def _outcomes(receipts: Sequence[Receipt]) -> list[list[object]]:
    """What outcomes that follow each other share, and then three texts of each."""
    written: list[list[object]] = []
    before: tuple[object, ...] = ()
    own: list[str | None] = []
    for one in receipts:
        ending = (one.outcome, one.reason, one.error, one.provider, one.attempts)
        shared = (one.dispatch_id, one.channel, *ending)
        if shared != before:
            before, own = shared, []
            written.append([*shared, own])
        own += (one.key, one.user_id, one.provider_message_id)
    return written


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


def read_group(text: bytes, number: int) -> Batch:
    """The group in such a text. Raises ValueError."""
    rows = cast("list[list[list[JsonValue]]]", from_json(text))
    at, openings, starts, ends, receipts, *revision = rows  # the last one came later
    return Batch(
        cast("int", at),
        [_read_opening(*row) for row in openings],  # type: ignore[arg-type]  # as they were written
        [one for row in starts for one in _read_starts(row)],
        [
            *(AttemptEnd(*row) for row in ends),  # type: ignore[arg-type]
            *(one for row in receipts for one in _read_outcomes(row)),
        ],
        number,
        cast("int", revision[0]) if revision else 0,
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


def _read_starts(row: list[JsonValue]) -> Iterator[AttemptStart]:
    *shared, keys = row
    if isinstance(keys, list):
        dispatch_id, channel, number, provider = shared
        for key in keys:
            yield AttemptStart(dispatch_id, channel, key, number, provider)  # type: ignore[arg-type]
    else:  # earlier versions wrote each by itself
        yield AttemptStart(*row)  # type: ignore[arg-type]


def _read_outcomes(row: list[JsonValue]) -> Iterator[Receipt]:
    *shared, own = row
    if isinstance(own, list):
        dispatch_id, channel, *ending = shared
        texts = iter(own)
        for key, user_id, message_id in zip(texts, texts, texts, strict=True):
            yield _receipt(dispatch_id, channel, key, user_id, *ending, message_id)
    else:  # likewise
        yield _receipt(*row)


def _receipt(dispatch_id: object, channel: object, key: object, *rest: object) -> Receipt:
    identity = delivery_id(dispatch_id, channel, key)  # type: ignore[arg-type]
    return Receipt(identity, dispatch_id, channel, key, *rest)  # type: ignore[arg-type]
