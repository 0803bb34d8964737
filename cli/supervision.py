"""`carillon supervisor`: the channels of a running service and what their workers hold."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Final, TypeVar

import click

from carillon.cli.examples import examples
from carillon.cli.options import client, json_option, service_options
from carillon.cli.providers.client import ServiceAnswer
from carillon.cli.providers.report import elapsed, print_json
from carillon.cli.service_client import Connection
from carillon.cli.table import print_table
from carillon.messages.model import CHANNELS
from carillon.settings import ClientSettings

_CHANNELS: Final = ("channel", "state", "crashes", "mailbox", "parked", "workers")
_LONGEST: Final = 100
_WORKERS: Final = ("channel", "worker", "state", "delivery", "provider", "held for")


class _RestartsAnswer(ServiceAnswer):
    recent: int
    most: int
    window: str
    total: int


class _MailboxAnswer(ServiceAnswer):
    depth: int
    bound: int
    parked: int


class _WorkerAnswer(ServiceAnswer):
    number: int
    state: str
    delivery_id: str | None
    provider: str | None
    held_for: float | None
    stuck: bool


class _ChannelAnswer(ServiceAnswer):
    """`workers` are those that are not idle; `worker_counts` counts all of them by state."""

    name: str
    state: str
    restarts: _RestartsAnswer
    mailbox: _MailboxAnswer
    worker_counts: Mapping[str, int]
    workers: Sequence[_WorkerAnswer]


class _SupervisorAnswer(ServiceAnswer):
    channels: Sequence[_ChannelAnswer]


def print_channels(service: ClientSettings, *, workers: bool, as_json: bool) -> None:
    """Print a table of the channels, and of their workers if asked; or a document a line."""
    with closing(Connection(service)) as connection:
        channels = connection.ask("/supervisor", _SupervisorAnswer).channels
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
    """Put a channel back into service, and print its state."""
    with closing(Connection(service)) as connection:
        channel = connection.tell("POST", f"/supervisor/channels/{name}/revive", _ChannelAnswer)
    if as_json:
        print_json(channel)
    else:
        click.echo(f"{channel.name} is {channel.state}.")


def _row(channel: _ChannelAnswer) -> Sequence[str]:
    restarts, mailbox = channel.restarts, channel.mailbox
    return (
        channel.name,
        channel.state,
        f"{restarts.recent} of {restarts.most} in {restarts.window}, {restarts.total} in all",
        f"{mailbox.depth:,}/{mailbox.bound:,}",
        f"{mailbox.parked:,}",
        _counted(channel),
    )


def _counted(channel: _ChannelAnswer) -> str:
    """The number of workers in each state: `17 idle, 3 working, 1 of them stuck`."""
    words = [f"{number} {state}" for state, number in channel.worker_counts.items() if number]
    stuck = sum(worker.stuck for worker in channel.workers)
    return ", ".join(words + [f"{stuck} of them stuck"] * bool(stuck))


def _worker_rows(channel: _ChannelAnswer) -> Sequence[Sequence[str]]:
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


C = TypeVar("C", bound=Callable[..., object])


@click.group()
def supervisor() -> None:
    """Look at the channels of a running service and their workers; revive a channel.

    The service is found by CARILLON_URL, and is shown the key in CARILLON_API_KEY if there is one.
    """


def _operates(command: C) -> C:
    return service_options(json_option(command))


@supervisor.command(
    epilog=examples(
        "carillon supervisor show",
        "carillon supervisor show --workers",
        "carillon supervisor show --json | jq -r 'select(.state == \"quarantined\") | .name'",
    )
)
@click.option("--workers", is_flag=True, help="Show what each busy worker holds, and for how long.")
@_operates
def show(url: str | None, api_key: str | None, *, workers: bool, as_json: bool) -> None:
    """Show every channel: state, crashes, mailbox, workers.

    With --json it is one channel a line. A worker that holds a delivery longer than its call may
    take is stuck, and gets replaced.
    """
    from carillon.cli.supervision import print_channels

    print_channels(client(url, api_key), workers=workers, as_json=as_json)


@supervisor.command(epilog=examples("carillon supervisor revive sms"))
@click.argument("channel", type=click.Choice(CHANNELS))
@_operates
def revive(channel: str, url: str | None, api_key: str | None, *, as_json: bool) -> None:
    """Put CHANNEL back into service.

    A channel whose workers crash too often is quarantined: it answers every delivery with a
    failure until it is revived.
    """
    from carillon.cli.supervision import revive_channel

    revive_channel(client(url, api_key), channel, as_json=as_json)
