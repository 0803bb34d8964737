"""Reports on a store: whether it is whole, what was running, and what may be sent twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import click

from carillon.cli.table import print_table
from carillon.stores.sqlite.left import Left

_ROWS: Final = 50


@dataclass(frozen=True, slots=True)
class Report:
    """The state of a store. `damage` of its log is also None while a service runs on it."""

    store: str
    life: int
    is_served: bool
    wrong: Sequence[str]
    damage: str | None
    paused: str | None
    left: Left

    @property
    def is_well(self) -> bool:
        """Whether a service sends from it."""
        return not self.wrong and self.damage is None and self.paused is None


def print_report(report: Report, *, as_json: bool) -> None:
    """Print the whole report."""
    if as_json:
        click.echo(json.dumps(_document(report), ensure_ascii=False))
        return
    used = "a service runs on it" if report.is_served else "no service runs on it"
    click.echo(f"The store {report.store}, life {report.life:,}; {used}.")
    click.echo(f"Tables: {'; '.join(report.wrong) or 'whole'}.")
    if report.damage is not None:
        click.echo(f"Redo log: {report.damage}. `carillon store repair` goes on without them.")
    elif not report.is_served:
        click.echo("Redo log: whole.")
    if report.paused is not None:
        click.echo(f"Paused: {report.paused}. `carillon store resume` lets it go on.")
    told(report.left)
    if not report.is_well:
        click.echo(twice(report.left))


def _document(report: Report) -> dict[str, object]:
    return {
        "store": report.store,
        "life": report.life,
        "served": report.is_served,
        "tables": list(report.wrong),
        "redoLog": report.damage,
        "paused": report.paused,
        "pending": report.left.pending,
        "openCalls": report.left.open,
        "events": report.left.events,
        "running": [
            {
                "dispatchId": one.id,
                "state": one.state,
                "channels": list(one.channels),
                "createdAt": _moment(one.created_at),
                "pending": one.pending,
                "openCalls": one.open,
                "ended": one.ended,
            }
            for one in report.left.dispatches
        ],
    }


def told(left: Left) -> None:
    """Print what was running, as a table."""
    if not left.dispatches:
        click.echo("No dispatch is running.")
        return
    rows = [
        (
            one.id,
            one.state,
            ", ".join(one.channels),
            _moment(one.created_at),
            f"{one.pending:,}",
            f"{one.open:,}",
            f"{one.ended:,}",
        )
        for one in left.dispatches[:_ROWS]
    ]
    header = ("dispatch", "state", "channels", "accepted", "pending", "calls open", "ended")
    print_table(header, rows, whole=("dispatch",))
    if len(left.dispatches) > _ROWS:
        click.echo(f"… and {len(left.dispatches) - _ROWS:,} more: `check --json` shows them.")


def twice(left: Left) -> str:
    """What may be sent twice, in a sentence or two."""
    if not (left.dispatches or left.events or left.lost):
        return (
            "Nothing was running in it. If it is older than what was served last, it does not know "
            "what was accepted since, nor the keys of that: what is repeated of it is sent twice."
        )
    parts = []
    if left.dispatches:
        known = left.pending - left.lost
        parts.append(
            f"{known:,} pending deliveries of {len(left.dispatches):,} dispatches, and "
            "those of their audience that were not read yet"
        )
    if left.lost:
        parts.append(f"{left.lost:,} deliveries of what the redo log has lost")
    if left.events:
        parts.append(f"{left.events:,} events of sagas")
    return (
        f"May be sent twice: {'; '.join(parts)}. They go on from here, and what was sent since is "
        "not known to this store; nor are keys of requests that came since."
    )


def _moment(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, UTC).isoformat(timespec="seconds")
