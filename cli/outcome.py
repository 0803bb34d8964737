"""Prints how a dispatch ended: a table of failures and a sentence, or JSON."""

from __future__ import annotations

import json
from typing import Final

import click

from carillon.cli.service_client import Answer
from carillon.cli.table import print_table

_MOST_ROWS: Final = 50
_LONGEST_ERROR: Final = 300


def print_outcome(answer: Answer) -> None:
    """Print the answer for people."""
    shown = answer.failures[:_MOST_ROWS]
    if shown:
        rows = [(failed.user_id, failed.channel, failed.error) for failed in shown]
        header = ("user", "channel", "what went wrong")
        print_table(header, rows, _LONGEST_ERROR, whole=("user",))
    if len(answer.failures) > len(shown):
        click.echo(f"… and {len(answer.failures) - len(shown):,} more: --json shows them")
    if answer.replayed:
        click.echo("This key came before: nothing was sent again.")
    click.echo(f"Dispatch {answer.dispatch_id}: {_summary(answer)}.")
    if answer.pending:
        click.echo(f"The pending ones go on by themselves; see {answer.location}")


def _summary(answer: Answer) -> str:
    counted = [f"{number:,} {outcome}" for outcome, number in answer.counts.items() if number]
    if counted:
        return ", ".join(counted)
    words = [f"{answer.failures_total:,} failed" if answer.failures_total else "nothing failed"]
    return ", ".join(words + [f"{answer.pending:,} pending"] * bool(answer.pending))


def print_json(answer: Answer) -> None:
    """Print the answer for scripts."""
    told = {
        "dispatchId": answer.dispatch_id,
        "failures": [failed.model_dump(by_alias=True) for failed in answer.failures],
        "failuresTotal": answer.failures_total,
        "deliveriesPending": answer.pending,
        "location": answer.location,
        "replayed": answer.replayed,
        "counts": dict(answer.counts),
    }
    click.echo(json.dumps(told, ensure_ascii=False))
