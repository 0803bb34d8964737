"""`carillon events`: a running service's events for sagas, delivered or not."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

from carillon.cli.completion import event_ids
from carillon.cli.examples import examples
from carillon.cli.options import client, json_option, limit_option, service_options
from carillon.messages.ports.outbox import EVENT_STATES

C = TypeVar("C", bound=Callable[..., object])


@click.group()
def events() -> None:
    """Look at the events for the Flow Manager, and post again what was parked.

    An event is `pending` until it was `accepted`; it is `parked` when it was refused, or not
    accepted for a day. The service is found by CARILLON_URL, and is shown the key in
    CARILLON_API_KEY if there is one.
    """


def _operates(command: C) -> C:
    return service_options(json_option(command))


@events.command(
    "list",
    epilog=examples(
        "carillon events list --state parked",
        "carillon events list --state parked --json | jq -r '[.key, .error] | @tsv'",
    ),
)
@click.option("--state", type=click.Choice(EVENT_STATES), help="Only those in this state.")
@limit_option
@_operates
def list_events(
    state: str | None, limit: int | None, url: str | None, api_key: str | None, *, as_json: bool
) -> None:
    """List events, the newest first."""
    from carillon.cli.events_report import events_of, print_events

    with events_of(client(url, api_key)) as known:
        print_events(known.all(state), limit, as_json=as_json)


@events.command(
    epilog=examples(
        "carillon events show 6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11",
        "carillon events show 6f1c2a --json | jq -r .error",
    )
)
@click.argument("event_id", metavar="ID", shell_complete=event_ids)
@_operates
def show(event_id: str, url: str | None, api_key: str | None, *, as_json: bool) -> None:
    """Show event ID, or the only one whose id begins so."""
    from carillon.cli.events_report import events_of, print_event

    with events_of(client(url, api_key)) as known:
        print_event(known.one(known.named(event_id)), as_json=as_json)


@events.command(
    epilog=examples(
        "carillon events redrive 6f1c2a",
        "carillon events list --state parked --json | jq -r .id | xargs carillon events redrive",
    )
)
@click.argument("event_ids", metavar="ID...", nargs=-1, required=True, shell_complete=event_ids)
@_operates
def redrive(
    event_ids: tuple[str, ...], url: str | None, api_key: str | None, *, as_json: bool
) -> None:
    """Post the events ID... again now, and try each for another day.

    The beginning of an id is enough where no other begins so. If one of them is not known, none is
    posted.
    """
    from carillon.cli.events_report import events_of, print_redriven

    with events_of(client(url, api_key)) as known:
        found = [known.one(known.named(event_id)).id for event_id in event_ids]
        for event_id in dict.fromkeys(found):
            print_redriven(known.redrive(event_id), as_json=as_json)
