"""`carillon dispatches`: look at the dispatches of a running service, cancel and redrive them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import click

from carillon.cli.completion import dispatch_ids, provider_names
from carillon.cli.examples import examples
from carillon.cli.options import client, json_option, limit_option, service_options
from carillon.messages.model import CHANNELS, OUTCOMES, REASONS
from carillon.messages.ports.records import DISPATCH_STATES

C = TypeVar("C", bound=Callable[..., object])

_ENDED = [outcome for outcome in OUTCOMES if outcome not in {"pending", "sent"}]


@click.group()
def dispatches() -> None:
    """Look at the dispatches of a running service, cancel them, and send again what failed.

    Of an ID its beginning is enough where no other begins so. The service is found by CARILLON_URL,
    and is shown the key in CARILLON_API_KEY if there is one.
    """


def _operates(command: C) -> C:
    return service_options(json_option(command))


_dispatch = click.argument("dispatch_id", metavar="ID", shell_complete=dispatch_ids)


def _filters(outcomes: Sequence[str]) -> Callable[[C], C]:
    def add(command: C) -> C:
        for option in (
            click.option(
                "--provider",
                metavar="NAME",
                shell_complete=provider_names,
                help="Only those that ended there, or were tried there so far.",
            ),
            click.option("--channel", type=click.Choice(CHANNELS), help="Only those over it."),
            click.option(
                "--reason",
                multiple=True,
                type=click.Choice(REASONS),
                metavar="REASON",
                help=f"Only those that ended for it: {', '.join(REASONS)}; repeatable.",
            ),
            click.option(
                "--outcome",
                multiple=True,
                type=click.Choice(outcomes),
                help="Only those that ended so; repeatable.",
            ),
        ):
            command = option(command)
        return command

    return add


@dispatches.command(
    "list",
    epilog=examples(
        "carillon dispatches list --state running",
        "carillon dispatches list --json | jq -r 'select(.counts.failed > 0) | .id'",
    ),
)
@click.option("--state", type=click.Choice(DISPATCH_STATES), help="Only those in this state.")
@limit_option
@_operates
def list_dispatches(
    state: str | None, limit: int | None, url: str | None, api_key: str | None, *, as_json: bool
) -> None:
    """List dispatches, the newest first."""
    from carillon.cli.dispatches.client import dispatches_of
    from carillon.cli.dispatches.report import print_dispatches

    with dispatches_of(client(url, api_key)) as known:
        print_dispatches(known.all(state), limit, as_json=as_json)


@dispatches.command(
    epilog=examples(
        "carillon dispatches show 6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11",
        "carillon dispatches show 6f1c2a --user 42",
        "carillon dispatches show 6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11 --outcome failed --json",
    )
)
@_dispatch
@click.option("--user", metavar="ID", help="Only those to this user.")
@_filters(OUTCOMES)
@limit_option
@_operates
def show(
    dispatch_id: str,
    user: str | None,
    outcome: tuple[str, ...],
    reason: tuple[str, ...],
    channel: str | None,
    provider: str | None,
    limit: int | None,
    url: str | None,
    api_key: str | None,
    *,
    as_json: bool,
) -> None:
    """Show dispatch ID and what became of its deliveries.

    Without a filter it shows those that failed, in whatever way.
    """
    from carillon.cli.dispatches.client import Wanted, dispatches_of
    from carillon.cli.dispatches.report import print_dispatch

    wanted = Wanted(outcome, reason, channel, provider, user)
    with dispatches_of(client(url, api_key)) as known:
        print_dispatch(known, dispatch_id, wanted, limit, as_json=as_json)


@dispatches.command(
    epilog=examples(
        "carillon dispatches watch 6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11",
        "carillon dispatches watch 6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11 --json | jq -c .counts",
    )
)
@_dispatch
@click.option(
    "--interval",
    type=click.FloatRange(min=0.1, max=3600),
    default=1.0,
    show_default=True,
    metavar="SECONDS",
    help="How often to look.",
)
@_operates
def watch(
    dispatch_id: str, interval: float, url: str | None, api_key: str | None, *, as_json: bool
) -> None:
    """Follow dispatch ID until it has ended.

    It is a bar; in a pipe a line whenever something has changed, with --json one JSON object. A
    service that goes away is asked again until it is back.
    """
    from carillon.cli.dispatches.watch import follow

    follow(client(url, api_key), dispatch_id, interval, as_json=as_json)


@dispatches.command(
    epilog=examples("carillon dispatches cancel 6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11")
)
@_dispatch
@_operates
def cancel(dispatch_id: str, url: str | None, api_key: str | None, *, as_json: bool) -> None:
    """Start nothing more of dispatch ID.

    Calls that are open end by themselves.
    """
    from carillon.cli.dispatches.client import dispatches_of
    from carillon.cli.dispatches.report import print_state

    with dispatches_of(client(url, api_key)) as known:
        print_state(known.cancel(known.named(dispatch_id)), as_json=as_json)


@dispatches.command(
    epilog=examples(
        "carillon dispatches redrive 6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11",
        "carillon dispatches redrive 6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11 --reason exhausted",
        "carillon dispatches redrive 6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11 --outcome in-doubt \\\n"
        "      --channel sms --provider sms-service",
    )
)
@_dispatch
@_filters(_ENDED)
@_operates
def redrive(
    dispatch_id: str,
    outcome: tuple[str, ...],
    reason: tuple[str, ...],
    channel: str | None,
    provider: str | None,
    url: str | None,
    api_key: str | None,
    *,
    as_json: bool,
) -> None:
    """Send again what failed of dispatch ID, which must have ended.

    Of several options all must hold. Those in doubt are sent only when they are named: they may
    arrive twice.
    """
    from carillon.cli.dispatches.client import Wanted, dispatches_of
    from carillon.cli.dispatches.report import print_redriven

    wanted = Wanted(outcome, reason, channel, provider)
    with dispatches_of(client(url, api_key)) as known:
        print_redriven(known.redrive(known.named(dispatch_id), wanted), as_json=as_json)
