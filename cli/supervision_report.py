"""What `carillon supervisor` asks, tells and prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Final

import click

from carillon.cli.providers_cells import elapsed
from carillon.cli.providers_client import Told
from carillon.cli.providers_report import print_json
from carillon.cli.service_client import Connection
from carillon.cli.table import print_table
from carillon.settings import ClientSettings

_CHANNELS: Final = ("channel", "state", "crashes", "mailbox", "parked", "workers")
_LONGEST: Final = 100
_WORKERS: Final = ("channel", "worker", "state", "delivery", "provider", "held for")


class _RestartsTold(Told):
    recent: int
    most: int
    window: str
    total: int


class _MailboxTold(Told):
    depth: int
    bound: int
    parked: int


class _WorkerTold(Told):
    number: int
    state: str
    delivery_id: str | None
    provider: str | None
    held_for: float | None
    stuck: bool


class _ChannelTold(Told):
    """`workers` are those that are not idle; `worker_counts` tells of all, by state."""

    name: str
    state: str
    restarts: _RestartsTold
    mailbox: _MailboxTold
    worker_counts: Mapping[str, int]
    workers: Sequence[_WorkerTold]


class _SupervisorTold(Told):
    channels: Sequence[_ChannelTold]


def print_channels(service: ClientSettings, *, workers: bool, as_json: bool) -> None:
    """A table of the channels, and of their workers if asked; or a document a line."""
    with closing(Connection(service)) as connection:
        channels = connection.ask("/supervisor", _SupervisorTold).channels
    if as_json:
        for channel in channels:
            print_json(channel)
        return
    print_table(_CHANNELS, [_row(channel) for channel in channels], _LONGEST)
    rows = [row for channel in channels for row in _worker_rows(channel)]
    if workers and rows:
        click.echo()
        print_table(_WORKERS, rows, whole=("delivery",))
    elif workers:
        click.echo("No worker holds a delivery.")


def revive_channel(service: ClientSettings, name: str, *, as_json: bool) -> None:
    """Put a channel back into service, and tell its state."""
    with closing(Connection(service)) as connection:
        channel = connection.tell("POST", f"/supervisor/channels/{name}/revive", _ChannelTold)
    if as_json:
        print_json(channel)
    else:
        click.echo(f"{channel.name} is {channel.state}.")


def _row(channel: _ChannelTold) -> Sequence[str]:
    restarts, mailbox = channel.restarts, channel.mailbox
    return (
        channel.name,
        channel.state,
        f"{restarts.recent} of {restarts.most} in {restarts.window}, {restarts.total} in all",
        f"{mailbox.depth:,}/{mailbox.bound:,}",
        f"{mailbox.parked:,}",
        _counted(channel),
    )


def _counted(channel: _ChannelTold) -> str:
    """How many there are in each state: `17 idle, 3 working, 1 of them stuck`."""
    words = [f"{number} {state}" for state, number in channel.worker_counts.items() if number]
    stuck = sum(worker.stuck for worker in channel.workers)
    return ", ".join(words + [f"{stuck} of them stuck"] * bool(stuck))


def _worker_rows(channel: _ChannelTold) -> Sequence[Sequence[str]]:
    return [
        (
            channel.name,
            str(worker.number),
            "stuck" if worker.stuck else worker.state,
            worker.delivery_id or "",
            worker.provider or "",
            "" if worker.held_for is None else elapsed(worker.held_for),
        )
        for worker in channel.workers
    ]
