"""`carillon keys`: making, listing and removing the API keys that a service asks for."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import click

from carillon.access.keys import MOST_WEIGHT, SCOPES, Scope
from carillon.cli.completion import key_ids
from carillon.cli.examples import examples
from carillon.cli.options import json_option
from carillon.messages.model import Document

if TYPE_CHECKING:
    from carillon.access.keys import ApiKey

T = TypeVar("T")

_SHOWN: Final = ("id", "scopes", "expiresAt", "weight")
_FILE: Final = click.Path(dir_okay=False, path_type=Path)


@click.group()
def keys() -> None:
    """Make API keys, list and remove those in a file.

    A service asks for keys once API_KEYS or API_KEYS_FILE gives it some.
    """


@keys.command(
    epilog=examples(
        "carillon keys new --id shop --scope send --scope read --file keys.json",
        "carillon keys new --id ada --scope operate --expires 90d --file keys.json",
        "carillon keys new --scope send --json",
    )
)
@click.option("--id", "key_id", metavar="NAME", help="What logs call it.  [default: drawn]")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What it opens; may be repeated.",
)
@click.option("--expires", metavar="WHEN", help="A duration such as 90d, or a time in ISO 8601.")
@click.option(
    "--weight",
    type=click.IntRange(1, MOST_WEIGHT),
    default=1,
    show_default=True,
    help="Its share of a channel beside other callers.",
)
@click.option(
    "--file", type=_FILE, help="Add its record to this file, which API_KEYS_FILE may name."
)
@json_option
def new(
    key_id: str | None,
    scopes: tuple[Scope, ...],
    expires: str | None,
    weight: int,
    file: Path | None,
    *,
    as_json: bool,
) -> None:
    """Make an API key: print it, this once, and the record to store of it.

    `send` opens /send and /saga/send; `read` all that only tells; `operate` all that changes
    something, and what `read` opens; `directory` users and templates. The record holds a salted
    hash, from which nobody gets the key back. A file gets it as a whole or not at all, readable by
    its owner only.
    """
    from carillon.access.keys import draw_key
    from carillon.cli.key_file import add_to_file
    from carillon.settings import key_record, parse_key_id

    name = None if key_id is None else _checked("--id", parse_key_id, key_id)
    expires_at = None if expires is None else _checked("--expires", _expiry, expires)
    token, key = draw_key(name, scopes, expires_at, weight)
    if file is not None:
        add_to_file(file, key)
    if as_json:
        click.echo(json.dumps({"key": token, "record": key_record(key)}))
        return
    click.echo(f"The key, shown this once; callers send it as `Authorization: Bearer …`:\n{token}")
    if file is not None:
        click.echo(f"Its record is in {file}.")
        return
    click.echo("Its record, an item of the array that API_KEYS or its file holds:")
    click.echo(json.dumps(key_record(key)))


_the_file = click.option(
    "--file",
    type=_FILE,
    envvar="API_KEYS_FILE",
    show_envvar=True,
    required=True,
    help="The file that holds them.",
)


@keys.command("list", epilog=examples("carillon keys list --file keys.json"))
@_the_file
@json_option
def list_keys(file: Path, *, as_json: bool) -> None:
    """List the keys in a file: id, scopes, and how long each is valid."""
    from carillon.cli.key_file import read_file
    from carillon.cli.table import print_table

    now = time.time()
    found = read_file(file)
    if as_json:
        for key in found:
            click.echo(json.dumps(_summary(key)))
    elif found:
        rows = [(key.id, " ".join(key.sorted_scopes), _validity(key, now)) for key in found]
        print_table(("id", "scopes", "valid"), rows, whole=("id",))
    else:
        click.echo("No keys.")


@keys.command(
    epilog=examples(
        "carillon keys remove shop --file keys.json",
        "API_KEYS_FILE=keys.json carillon keys remove shop && kill -HUP $(pidof carillon)",
    )
)
@click.argument("key_id", metavar="ID", shell_complete=key_ids)
@_the_file
@json_option
def remove(key_id: str, file: Path, *, as_json: bool) -> None:
    """Remove key ID from a file, as a whole or not at all.

    A running service lets it in until it reads the file again, at SIGHUP. The last key of a file is
    not removed: a service refuses a file without any. To ask for no key, unset API_KEYS_FILE.
    """
    from carillon.cli.key_file import remove_from_file

    left = remove_from_file(file, key_id)
    if as_json:
        click.echo(json.dumps({"removed": key_id, "left": left}))
        return
    keys_are = "1 key is" if left == 1 else f"{left:,} keys are"
    click.echo(f"Removed {key_id} from {file}; {keys_are} left. A service reads it at SIGHUP.")


def _summary(key: ApiKey) -> Document:
    from carillon.settings import key_record

    return {k: v for k, v in key_record(key).items() if k in _SHOWN}


def _validity(key: ApiKey, now: float) -> str:
    if key.expires_at is None:
        return "for ever"
    when = datetime.fromtimestamp(key.expires_at, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    return f"expired {when}" if key.has_expired(now) else f"until {when}"


def _expiry(text: str) -> float:
    from carillon.messages.durations import seconds
    from carillon.settings import parse_expiry

    now = int(time.time())
    try:
        expires_at = now + seconds(text)
    except ValueError:
        try:
            expires_at = parse_expiry(text)
        except ValueError as error:
            raise ValueError(f'a duration such as "90d" or {error}') from None
    if expires_at <= now:
        raise ValueError("in the future")
    return expires_at


def _checked(option: str, convert: Callable[[str], T], text: str) -> T:
    try:
        return convert(text)
    except ValueError as error:
        raise click.BadParameter(f"must be {error}", param_hint=option) from None
