"""What is written together, and its JSON in the redo log."""

from __future__ import annotations

import json
from collections.abc import Sequence
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
    """A group for the redo log."""
    rows = [
        group.at,
        [_opening(one) for one in group.openings],
        [(one.dispatch_id, one.channel, one.key, one.number, one.provider) for one in group.starts],
        [
            (one.dispatch_id, one.channel, one.key, one.number, one.result, one.error)
            for one in group.ends
            if isinstance(one, AttemptEnd)
        ],
        [
            (
                one.dispatch_id,
                one.channel,
                one.key,
                one.user_id,
                one.outcome,
                one.reason,
                one.error,
                one.provider,
                one.attempts,
                one.provider_message_id,
            )
            for one in group.ends
            if isinstance(one, Receipt)
        ],
        group.revision,
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


def read_group(text: bytes, number: int) -> Batch:
    """The group in such a text. Raises ValueError."""
    rows = cast("list[list[list[JsonValue]]]", from_json(text))
    at, openings, starts, ends, receipts, *revision = rows  # the last one came later
    return Batch(
        cast("int", at),
        [_read_opening(*row) for row in openings],  # type: ignore[arg-type]  # as they were written
        [AttemptStart(*row) for row in starts],  # type: ignore[arg-type]
        [
            *(AttemptEnd(*row) for row in ends),  # type: ignore[arg-type]
            *(_receipt(*row) for row in receipts),  # type: ignore[arg-type]
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


def _receipt(dispatch_id: str, channel: str, key: str, *rest: object) -> Receipt:
    identity = delivery_id(dispatch_id, channel, key)  # type: ignore[arg-type]
    return Receipt(identity, dispatch_id, channel, key, *rest)  # type: ignore[arg-type]
