"""`carillon supervisor`: the channels of a running service and what their workers hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from carillon.cli.examples import examples
from carillon.cli.options import client, json_option, service_options
from carillon.messages.model import CHANNELS

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
    from carillon.cli.supervision_report import print_channels

    print_channels(client(url, api_key), workers=workers, as_json=as_json)


@supervisor.command(epilog=examples("carillon supervisor revive sms"))
@click.argument("channel", type=click.Choice(CHANNELS))
@_operates
def revive(channel: str, url: str | None, api_key: str | None, *, as_json: bool) -> None:
    """Put CHANNEL back into service.

    A channel whose workers crash too often is quarantined: it answers every delivery with a
    failure until it is revived.
    """
    from carillon.cli.supervision_report import revive_channel

    revive_channel(client(url, api_key), channel, as_json=as_json)
