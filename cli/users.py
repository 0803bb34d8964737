"""`carillon users`: who can be reached, in the store."""

from __future__ import annotations

from typing import Literal

import click

from cli.examples import examples
from cli.options import json_option, limit_option, named_store, store_option


@click.group()
def users() -> None:
    """Import and list the users of the store: an SQLite file or MongoDB.

    They are found there when neither CRUD_SERVICE_NAME nor CRUD_SERVICE_URL is set.
    """


@users.command(
    "import",
    epilog=examples(
        "carillon users import users.jsonl",
        "carillon users import --store /var/lib/carillon/carillon.db people.csv",
        """echo '{"_id": "ada", "emailAddress": "ada@example.com"}' | carillon users import -""",
    ),
)
@click.argument("file")
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "csv"]),
    help="What the file holds.  [default: csv if its name ends so, else jsonl]",
)
@store_option
@json_option
def import_users(
    file: str, form: Literal["jsonl", "csv"] | None, store: str | None, *, as_json: bool
) -> None:
    """Import users from FILE, or from stdin if that is `-`.

    A file holds one JSON document a line, or CSV whose header names the fields, with the clusters
    of a user separated by `;`. A user may have `_id`, `emailAddress`, `phoneNumber`,
    `deviceToken`, `clusters` and any other field, which templates reach as `user.field`.

    A user without `_id` gets one, and one whose `_id` is known is replaced. Without `__STATE__` a
    user is PUBLIC; others get no messages. If a line is bad, nothing of the file is imported. A
    running service need not be stopped.
    """
    from cli.documents import csv_rows, json_lines
    from cli.importing import Import, import_file

    is_csv = form == "csv" or (form is None and file.lower().endswith(".csv"))
    job = Import("user", csv_rows if is_csv else json_lines)
    import_file(job, file, named_store(store), as_json=as_json)


@users.command(
    "list", epilog=examples("carillon users list", "carillon users list --json | jq -r ._id")
)
@limit_option
@store_option
@json_option
def list_users(limit: int | None, store: str | None, *, as_json: bool) -> None:
    """List users by id: as a table, or with --json one document a line, as `import` takes them."""
    from cli.listing import list_collection

    list_collection("user", named_store(store), limit, dict, as_json=as_json)
