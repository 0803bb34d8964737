"""`carillon providers`: look at the providers of a running service, and tune them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

import click

from carillon.cli.completion import assignments, provider_names
from carillon.cli.examples import examples
from carillon.cli.options import ROWS, client, json_option, limit_option, service_options
from carillon.messages.model import CHANNELS

C = TypeVar("C", bound=Callable[..., object])

_JSON_PATCH: Final = '{"retry": {"attempts": 3}}'


@click.group()
def providers() -> None:
    """Look at the providers of a running service, and tune them; list the types there are.

    What is set is in force within a second, interrupts no call, survives a restart, and wins over
    the configuration file until it is removed. The service is found by CARILLON_URL, and is shown
    the key in CARILLON_API_KEY if there is one.
    """


def _operates(command: C) -> C:
    return service_options(json_option(command))


_name = click.argument("name", shell_complete=provider_names)


@providers.command(
    "list",
    epilog=examples(
        "carillon providers list",
        "carillon providers list --json | jq -r 'select(.state != \"running\") | .name'",
    ),
)
@_operates
def list_providers(url: str | None, api_key: str | None, *, as_json: bool) -> None:
    """List all providers and what they are doing.

    The last column names what was set while the service ran; all else is the file's or a default.
    """
    from carillon.cli.providers.client import providers_of
    from carillon.cli.providers.report import print_all

    with providers_of(client(url, api_key)) as known:
        print_all(known.all(), as_json=as_json)


@providers.command(
    epilog=examples(
        "carillon providers types",
        "carillon providers types --json | jq -r '.[].keys[].key'",
    )
)
@json_option
def types(*, as_json: bool) -> None:
    """List the types of providers that a configuration may name.

    What each carries and which variables or keys configure it. No service is asked.
    """
    from carillon.cli.providers.types import print_types

    print_types(as_json=as_json)


@providers.command(
    epilog=examples(
        "carillon providers show sms-service",
        "carillon providers show sms-service --json | jq .settings.rate",
    )
)
@_name
@_operates
def show(name: str, url: str | None, api_key: str | None, *, as_json: bool) -> None:
    """Show all about provider NAME.

    Its settings and where they are from, what it is doing, and the last error of each kind.
    """
    from carillon.cli.providers.client import providers_of
    from carillon.cli.providers.report import print_one

    with providers_of(client(url, api_key)) as known:
        print_one(known.one(name), as_json=as_json)


@providers.command(
    "test",
    epilog=examples(
        "carillon providers test smtp --to me@example.com",
        "carillon providers test twilio --channel sms --to '+39 333 1234567' --json",
    ),
)
@_name
@click.option("--to", "address", required=True, metavar="ADDRESS", help="Whom to send it to.")
@click.option("--channel", type=click.Choice(CHANNELS), help="Where NAME carries several.")
@click.option(
    "--field",
    metavar="NAME",
    help="The field of addresses, where `userFields` has another name for it.",
)
@click.option(
    "--wait",
    type=click.FloatRange(min=1, max=3600),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="Send nothing, and look no more, after so long.",
)
@_operates
def try_provider(
    name: str,
    address: str,
    channel: str | None,
    field: str | None,
    wait: float,
    url: str | None,
    api_key: str | None,
    *,
    as_json: bool,
) -> None:
    """Send one real message over provider NAME, and tell each step of its way.

    It goes the way of every message: through the API, the journal, the channel's queue and the
    limits of NAME. In the end it says what the provider answered. With --json each step is one
    object.

    Exit codes: 0 it was sent over NAME, 1 it was not, or the service cannot be used, 2 the message
    was refused.
    """
    from carillon.cli.providers.trial import Trial, run

    if not run(client(url, api_key), Trial(name, address, channel, field, wait), as_json=as_json):
        raise SystemExit(1)


@providers.command(
    "set",
    epilog=examples(
        "carillon providers set sms-service rate=100/1m,10/1s concurrency=5",
        "carillon providers set sms-service rate=none timeout=10s retry.attempts=3",
        "carillon providers set mail-service quota=50000@06:00/Europe/Rome",
        "carillon providers set sms-backup weight=3 breaker=closed",
        "carillon providers set sms-service rate=default  # as the file has it",
        f"carillon providers set sms-service --json-patch '{_JSON_PATCH}'",
    ),
)
@_name
@click.argument("assignments", nargs=-1, metavar="[KEY=VALUE]...", shell_complete=assignments)
@click.option("--json-patch", metavar="JSON", help="The body of the PATCH, in place of KEY=VALUE.")
@_operates
def set_provider(
    name: str,
    assignments: tuple[str, ...],
    json_patch: str | None,
    url: str | None,
    api_key: str | None,
    *,
    as_json: bool,
) -> None:
    """Set what provider NAME may be asked for.

    \b
    concurrency=5                      calls open at once
    rate=100/1m,10/1s                  calls in any window; rate=none is no limit
    quota=1000@06:00/Europe/Rome       calls a day; quota=1000 leaves the reset as it is
    timeout=10s                        of one call
    retry.attempts=3                   also .firstDelay=1s and .maxDelay=1m
    breaker.failures=5                 also .cooldown=1m; breaker=closed closes it now
    onUnknownOutcome=hold              or retry
    weight=3                           share of the load
    paused=true draining=true          or false

    KEY=default removes what was set for that key. Of several assignments all are put in force or
    none; what is another than before is printed.
    """
    from carillon.cli.providers.change import asked_patch, change

    service = client(url, api_key)
    change(service, name, asked_patch(assignments, json_patch), as_json=as_json)


@providers.command(epilog=examples("carillon providers pause sms-service"))
@_name
@_operates
def pause(name: str, url: str | None, api_key: str | None, *, as_json: bool) -> None:
    """Start no further call at provider NAME.

    Calls that are open end as they would. Deliveries wait, or go to another provider of their
    channel.
    """
    from carillon.cli.providers.change import change

    change(client(url, api_key), name, lambda _: {"paused": True}, as_json=as_json)


@providers.command(epilog=examples("carillon providers drain sms-service"))
@_name
@_operates
def drain(name: str, url: str | None, api_key: str | None, *, as_json: bool) -> None:
    """Give provider NAME no new deliveries.

    Those that it has tried before go on there.
    """
    from carillon.cli.providers.change import change

    change(client(url, api_key), name, lambda _: {"draining": True}, as_json=as_json)


@providers.command(epilog=examples("carillon providers resume sms-service"))
@_name
@_operates
def resume(name: str, url: str | None, api_key: str | None, *, as_json: bool) -> None:
    """End what `pause` and `drain` began at provider NAME."""
    from carillon.cli.providers.change import change

    patch = {"paused": None, "draining": None}
    change(client(url, api_key), name, lambda _: {**patch}, as_json=as_json)


@providers.command(epilog=examples("carillon providers close-breaker sms-service"))
@_name
@_operates
def close_breaker(name: str, url: str | None, api_key: str | None, *, as_json: bool) -> None:
    """Let calls start again at provider NAME.

    Its failures are forgotten. Should it still fail, its breaker opens again.
    """
    from carillon.cli.providers.change import change

    change(client(url, api_key), name, lambda _: {"breaker": "closed"}, as_json=as_json)


@providers.command(epilog=examples("carillon providers reset sms-service"))
@_name
@_operates
def reset(name: str, url: str | None, api_key: str | None, *, as_json: bool) -> None:
    """Remove all that was set for provider NAME.

    The configuration file holds again.
    """
    from carillon.cli.providers.change import reset as remove_all

    remove_all(client(url, api_key), name, as_json=as_json)


@providers.command(
    epilog=examples(
        "carillon providers audit",
        "carillon providers audit sms-service --limit 10",
        "carillon providers audit --json | jq -r '[.at, .who, .action] | @tsv'",
    )
)
@click.argument("name", required=False, shell_complete=provider_names)
@limit_option
@_operates
def audit(
    name: str | None,
    limit: int | None,
    url: str | None,
    api_key: str | None,
    *,
    as_json: bool,
) -> None:
    """List who changed what, the last change first.

    With NAME, the changes of this provider only.
    """
    from carillon.cli.providers.client import providers_of
    from carillon.cli.providers.report import print_audit

    most = (0 if as_json else ROWS) if limit is None else limit
    with providers_of(client(url, api_key)) as known:
        print_audit(known.audit(name, most), as_json=as_json)


@providers.command(
    epilog=examples(
        "carillon providers watch",
        "carillon providers watch sms-service sms-backup --interval 0.5",
        "carillon providers watch | jq -c '.providers[] | [.name, .waiting.deliveries]'",
    )
)
@click.argument("names", nargs=-1, metavar="[NAME]...", shell_complete=provider_names)
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
    names: tuple[str, ...],
    interval: float,
    url: str | None,
    api_key: str | None,
    *,
    as_json: bool,
) -> None:
    """Follow what the providers are doing, until Ctrl-C.

    It is a table of all providers, or of those named; in a pipe or with --json one JSON object a
    line. A service that goes away is asked again until it is back.
    """
    from carillon.cli.providers.watch import watch as follow

    follow(client(url, api_key), names, interval, as_json=as_json)
