"""Prints dispatches: as tables and sentences, or as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final, TypeVar

import click

from carillon.cli.dispatches.client import (
    DispatchAnswer,
    Dispatches,
    RedrivenAnswer,
    Wanted,
)
from carillon.cli.options import ROWS
from carillon.cli.providers.client import ServiceAnswer
from carillon.cli.table import print_table, printable
from carillon.messages.model import FAILURES

T = TypeVar("T", bound=ServiceAnswer)

_LONGEST: Final = 120
_UNSENT: Final = Wanted(outcomes=sorted(FAILURES))


def print_dispatches(found: Iterator[DispatchAnswer], limit: int | None, *, as_json: bool) -> None:
    """One a line."""
    if as_json:
        _print_lines(_at_most(found, limit))
        return
    shown = list(_at_most(found, ROWS if limit is None else limit))
    rows = [
        (one.id, one.state, ", ".join(one.channels), one.created_at, counted(one)) for one in shown
    ]
    if not rows:
        click.echo("No dispatches.")
        return
    header = ("dispatch", "state", "channels", "accepted", "deliveries")
    print_table(header, rows, _LONGEST, whole=("dispatch",))
    _tell_of_more(found)


def print_dispatch(
    known: Dispatches, dispatch_id: str, wanted: Wanted, limit: int | None, *, as_json: bool
) -> None:
    """Print the dispatch and the deliveries that are asked for."""
    dispatch = known.one(known.named(dispatch_id))
    found = known.deliveries(dispatch.id, wanted or _UNSENT)
    if as_json:
        told = [one.document for one in _at_most(found, limit)]
        click.echo(json.dumps({**dispatch.document, "deliveries": told}, ensure_ascii=False))
        return
    print_state(dispatch, as_json=False)
    shown = list(_at_most(found, ROWS if limit is None else limit))
    if shown:
        rows = [
            (
                one.user_id,
                one.channel,
                one.outcome,
                one.reason or "",
                one.provider or "",
                str(one.attempts),
                one.error or "",
            )
            for one in shown
        ]
        header = ("user", "channel", "outcome", "reason", "provider", "attempts", "what went wrong")
        print_table(header, rows, _LONGEST, whole=("user",))
    _tell_of_more(found)


def print_state(dispatch: DispatchAnswer, *, as_json: bool) -> None:
    """The dispatch in one sentence."""
    if as_json:
        click.echo(json.dumps(dispatch.document, ensure_ascii=False))
    else:
        click.echo(sentence(dispatch))


def sentence(dispatch: DispatchAnswer) -> str:
    """A dispatch in one sentence."""
    ended = "" if dispatch.ended_at is None else f", ended {dispatch.ended_at}"
    about = f"{dispatch.state}, accepted {dispatch.created_at}{ended}"
    reason = "" if dispatch.reason is None else f" {printable(dispatch.reason)}."
    return f"Dispatch {printable(dispatch.id)}: {about}; {counted(dispatch)}.{reason}"


def print_redriven(told: RedrivenAnswer, *, as_json: bool) -> None:
    """How many are sent again."""
    if as_json:
        click.echo(json.dumps(told.document, ensure_ascii=False))
    elif told.redriven:
        number = f"{told.redriven:,} deliver{'y' if told.redriven == 1 else 'ies'}"
        click.echo(f"Sending {number} again; carillon dispatches watch {told.id} follows them.")
    else:
        click.echo("Nothing matches; nothing is sent again.")


def counted(dispatch: DispatchAnswer) -> str:
    """Its deliveries by outcome, and the unread part of its audience, in words."""
    words = [f"{number:,} {outcome}" for outcome, number in dispatch.counts.items() if number]
    told = ", ".join(words) or "no deliveries"
    return told if dispatch.audience.complete else f"{told}; {unread(dispatch)}"


def unread(dispatch: DispatchAnswer) -> str:
    """How far its audience was read, if not to the end."""
    read, total = dispatch.audience.read, dispatch.audience.total
    of = "" if total is None else f" of {total:,}"
    if dispatch.is_over:
        return f"{read:,}{of} recipients read, the rest were sent nothing"
    return f"{read:,}{of} recipients read so far"


def _at_most(found: Iterator[T], limit: int | None) -> Iterator[T]:
    return found if not limit else islice(found, limit)


def _print_lines(found: Iterable[ServiceAnswer]) -> None:
    for one in found:
        click.echo(json.dumps(one.document, ensure_ascii=False))


def _tell_of_more(found: Iterator[ServiceAnswer]) -> None:
    if next(found, None) is not None:
        click.echo("… and more: --limit 0 shows all, --json prints them for scripts")
