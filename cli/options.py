"""Options that several commands take, and what they come to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import click

from carillon.cli.failure import BadInput
from carillon.cli.from_environment import FromEnvironment
from carillon.settings import ClientSettings, ConfigurationError
from carillon.settings import client as client_settings
from carillon.settings import store as settings_store
from carillon.stores.mongodb.url import MongoUrl

ROWS: Final = 50
"""How many documents a table shows by default."""

C = TypeVar("C", bound=Callable[..., object])


def json_option(command: C) -> C:
    """`--json`, for scripts."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")(command)


def limit_option(command: C) -> C:
    """`--limit`."""
    return click.option(
        "--limit",
        type=click.IntRange(min=0),
        metavar="N",
        help=f"How many at most; 0 is all.  [default: {ROWS}, with --json all]",
    )(command)


def store_option(command: C) -> C:
    """`--store`."""
    return click.option(
        "--store",
        envvar="STORE_URL",
        show_envvar=True,
        metavar="URL",
        help="A file, sqlite:///FILE or mongodb://HOST/DATABASE.  [default: carillon.db here]",
    )(command)


def named_store(store: str | None) -> Path | MongoUrl:
    """The file or the MongoDB that `--store` or STORE_URL names."""
    if store and "://" not in store:
        return Path(store)
    try:
        return settings_store({"STORE_URL": store or ""})
    except ConfigurationError as error:
        raise BadInput(str(error)) from None


def service_options(command: C) -> C:
    """`--url`, and the API key."""
    for option in (
        click.option("--api-key", cls=FromEnvironment, envvar="CARILLON_API_KEY", hidden=True),
        click.option(
            "--url",
            envvar="CARILLON_URL",
            show_envvar=True,
            metavar="URL",
            help="The service.  [default: http://127.0.0.1:3000]",
        ),
    ):
        command = option(command)
    return command


def client(url: str | None, api_key: str | None) -> ClientSettings:
    """Where the service is, and the key it wants to see."""
    try:
        return client_settings({"CARILLON_URL": url, "CARILLON_API_KEY": api_key})
    except ConfigurationError as error:
        raise BadInput(str(error)) from None
