"""`carillon dispatches watch`: a line that follows a dispatch, or one line for each change."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import click
from rich.console import Console
from rich.live import Live
from rich.text import Text

from cli.dispatches_client import Dispatches, DispatchTold, dispatches_of
from cli.dispatches_report import counted
from cli.failure import BadInput, Failure
from settings import ClientSettings


def follow(service: ClientSettings, dispatch_id: str, interval: float, *, as_json: bool) -> None:
    """Follow a dispatch to its end.

    Raises:
        BadInput: the service refuses, or knows no such dispatch.
        Failure: it cannot be reached from the start.
    """
    # Whoever ends this from elsewhere must not leave a terminal without a cursor.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(KeyboardInterrupt), dispatches_of(service) as known:
        seen = looks(known, dispatch_id, interval)
        if as_json:
            for one in seen:
                click.echo(json.dumps(one.document, ensure_ascii=False))
        elif sys.stdout.isatty():
            _show(seen)
        else:
            for one in seen:
                click.echo(line(one))


def looks(known: Dispatches, dispatch_id: str, interval: float) -> Iterator[DispatchTold]:
    """The dispatch now, and whenever it has changed, to its end."""
    last = known.one(dispatch_id)
    yield last
    while not last.is_over:
        time.sleep(interval)
        try:
            now = known.one(dispatch_id)
        except BadInput:
            raise
        except Failure:
            continue  # a restart, perhaps: it goes on after that
        if now != last:
            yield now
        last = now


def line(dispatch: DispatchTold) -> str:
    """How far it is, in one line."""
    state = "ended" if dispatch.is_over and dispatch.state == "done" else dispatch.state
    return f"{state}: {counted(dispatch)}"


def _show(seen: Iterator[DispatchTold]) -> None:
    with Live(console=Console(), auto_refresh=False) as screen:
        for one in seen:
            screen.update(Text(line(one)), refresh=True)
