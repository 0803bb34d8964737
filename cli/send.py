"""`carillon send`: sends a message through a running service and shows how it ended."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar, Unpack

import click

from carillon.cli.examples import examples
from carillon.cli.options import client, json_option, service_options
from carillon.messages.model import CHANNELS, PRIORITIES

if TYPE_CHECKING:
    from carillon.cli.dispatch_body import SendOptions

C = TypeVar("C", bound=Callable[..., object])

_KEY: Final = re.compile(r"[\x20-\x21\x23-\x5b\x5d-\x7e]{1,255}")
_EXAMPLES = examples(
    'carillon send --channel email --to ada --title "Hello" --text "Dear {{user.name}}"',
    """carillon send --channel sms --channel push --cluster milan --template welcome \\
        --data '{"order": "A-1042"}'""",
    "carillon send --channel email --to-file ids.txt --title News --text-file news.txt --wait 10",
    "carillon send --channel sms --cluster all --template offer --priority bulk --async",
    "carillon send --channel sms --to 42 --template code --priority high --time-to-live 5m",
    "carillon send --channel email --to 42 --template receipt --idempotency-key order-1042",
    """carillon send --channel email --to '{"emailAddress": "ada@example.com"}' \\
        --title Hello --text 'Dear customer'""",
    "CARILLON_URL=https://messages.example.com carillon send --channel sms --to 42 --text Hi \\\n"
    "      --json | jq .failures",
)


def _whom(command: C) -> C:
    for option in (
        click.option(
            "--cluster", "clusters", multiple=True, help="A cluster of users; repeatable."
        ),
        click.option(
            "--to-file", metavar="FILE", help="Users as for --to, one a line; - is stdin."
        ),
        click.option(
            "--to",
            "recipients",
            multiple=True,
            metavar="ID|JSON",
            help="A user by id, or as a JSON object with addresses; repeatable.",
        ),
        click.option(
            "--channel",
            "channels",
            multiple=True,
            required=True,
            type=click.Choice(CHANNELS),
            help="How to reach them; repeatable.",
        ),
    ):
        command = option(command)
    return command


def _what(command: C) -> C:
    for option in (
        click.option("--data", metavar="JSON|@FILE", help="What the texts read as `data`."),
        click.option("--template", metavar="ID", help="A stored template, in place of texts."),
        click.option("--text-file", metavar="FILE", help="The message from a file; - is stdin."),
        click.option("--text", help="The message, as a Handlebars template."),
        click.option("--title", help="The title of emails and push notifications."),
    ):
        command = option(command)
    return command


def _mail(command: C) -> C:
    for option in (
        click.option("--sender", metavar="ADDRESS", help="Who emails come from."),
        click.option("--bcc", multiple=True, metavar="ADDRESS", help="Unseen copy; repeatable."),
        click.option("--cc", multiple=True, metavar="ADDRESS", help="Copy; repeatable."),
        click.option(
            "--attach",
            multiple=True,
            metavar="NAME",
            help="A file of the file service; repeatable.",
        ),
    ):
        command = option(command)
    return command


def _until(command: C) -> C:
    for option in (
        click.option(
            "--expires-at",
            metavar="MOMENT",
            help="Send nothing of it from then on: ISO 8601 with a zone.",
        ),
        click.option(
            "--time-to-live",
            metavar="DURATION",
            help="Send nothing of it after this time: 30s, 1h.",
        ),
        click.option(
            "--priority",
            type=click.Choice(PRIORITIES),
            help="Before or behind others.  [default: normal]",
        ),
    ):
        command = option(command)
    return command


def _a_key(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    if given is not None and not _KEY.fullmatch(given):
        raise click.BadParameter(
            "must be 1 to 255 printable ASCII characters without quotes and backslashes"
        )
    return given


def _waiting(command: C) -> C:
    for option in (
        click.option(
            "--idempotency-key",
            metavar="KEY",
            callback=_a_key,
            help="Send it once, however often this is repeated with the key.",
        ),
        click.option("--async", "is_async", is_flag=True, help="Go on once it is accepted."),
        click.option(
            "--wait",
            type=click.IntRange(0),
            metavar="SECONDS",
            help="Wait this long for the outcome.  [default: as long as the service does]",
        ),
    ):
        command = option(command)
    return command


@click.command(epilog=_EXAMPLES)
@_whom
@_what
@_mail
@_until
@_waiting
@service_options
@json_option
def send(
    *,
    wait: int | None,
    is_async: bool,
    idempotency_key: str | None,
    url: str | None,
    api_key: str | None,
    as_json: bool,
    **asked: Unpack[SendOptions],
) -> None:
    """Send a message through a running service and show what failed.

    Say whom with --to, --to-file and --cluster, and what with --template or with --title and
    --text. The service is found by CARILLON_URL, and is shown the key in CARILLON_API_KEY if there
    is one.

    Exit codes: 0 nothing failed so far, 1 something failed or the service cannot be used, 2 the
    message was refused.
    """
    from carillon.cli.dispatch_body import dispatch_body
    from carillon.cli.outcome import print_json, print_outcome
    from carillon.cli.progress import spinner
    from carillon.cli.service_client import Wish, post_dispatch

    if is_async and wait is not None:
        raise click.UsageError("--async waits for nothing: leave out --wait, or --async")
    body = dispatch_body(asked)
    service = client(url, api_key)
    with spinner("Sending"):
        answer = post_dispatch(service, body, Wish(wait, is_async, idempotency_key))
    (print_json if as_json else print_outcome)(answer)
    if answer.failures_total:
        raise SystemExit(1)
