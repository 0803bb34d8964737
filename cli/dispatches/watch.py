"""`carillon dispatches watch`: a bar that follows a dispatch, or a line for each change."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from carillon.cli.dispatches.client import DispatchAnswer, Dispatches, dispatches_of
from carillon.cli.dispatches.report import counted, sentence
from carillon.cli.failure import BadInput, Failure
from carillon.cli.table import one_line
from carillon.settings import ClientSettings

_BAR: Final = 40
_LONGEST: Final = 300

Look = DispatchAnswer | Failure
"""The service's answer, or why there is none."""


def follow(service: ClientSettings, dispatch_id: str, interval: float, *, as_json: bool) -> None:
    """Follow a dispatch to its end, looking again every `interval` seconds.

    Raises:
        BadInput: the service refuses, or knows no such dispatch.
        Failure: it cannot be reached from the start.
    """
    # A SIGTERM must not leave the terminal without a cursor.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), dispatches_of(service) as known:
        seen = looks(known, known.named(dispatch_id), interval)
        if as_json or not sys.stdout.isatty():
            _print_changes(seen, json_line if as_json else line)
        else:
            _show(seen)


def looks(known: Dispatches, dispatch_id: str, interval: float) -> Iterator[Look]:
    """Look again and again until the dispatch has ended.

    A service that goes down is asked until it is back: it then goes on with what it accepted.
    """
    last: Look = known.one(dispatch_id)
    yield last
    while isinstance(last, Failure) or not last.is_over:
        time.sleep(interval)
        try:
            last = known.one(dispatch_id)
        except BadInput:
            raise
        except Failure as failure:
            last = failure
        yield last


def line(look: Look) -> str:
    """How far it is, in one line."""
    if isinstance(look, Failure):
        return one_line(str(look), _LONGEST)
    state = "ended" if look.is_over and look.state == "done" else look.state
    return f"{state}: {counted(look)}"


def json_line(look: Look) -> str:
    """The dispatch, or what went wrong, as JSON."""
    told = {"error": str(look)} if isinstance(look, Failure) else look.document
    return json.dumps(told, ensure_ascii=False)


def picture(dispatch: DispatchAnswer, look: Look) -> RenderableType:
    """The dispatch as it was last seen, with remarks."""
    enrolled, expected = sum(dispatch.counts.values()), dispatch.expected
    ended = enrolled - dispatch.counts.get("pending", 0)
    known = enrolled if expected is None else max(expected, enrolled)
    # A bar of nothing would never be full.
    bar = ProgressBar(total=known or 1, completed=ended if known else dispatch.is_over, width=_BAR)
    row = Table.grid(padding=(0, 1))
    reading = " so far, the audience is still being read" if expected is None else ""
    row.add_row(bar, f"{ended:,} of {known:,} ended{reading}")
    lines: list[RenderableType] = [Text(sentence(dispatch)), row]
    if isinstance(look, Failure):
        lines.append(Text(line(look), "red"))
    elif not dispatch.is_over:
        lines.append(Text("Ctrl-C ends this, and not the dispatch", "dim"))
    return Group(*lines)


def _print_changes(seen: Iterator[Look], worded: Callable[[Look], str]) -> None:
    before = ""
    for look in seen:
        if (text := worded(look)) != before:
            click.echo(text)
        before = text


def _show(seen: Iterator[Look]) -> None:
    dispatch: DispatchAnswer | None = None
    with Live(console=Console(highlight=False), auto_refresh=False) as screen:
        for look in seen:
            dispatch = look if isinstance(look, DispatchAnswer) else dispatch
            if dispatch is not None:
                screen.update(picture(dispatch, look), refresh=True)
