"""`carillon users`: imports and lists the users in the store."""

from __future__ import annotations

from typing import Literal

import click

from carillon.cli.directory.commands import add_document_commands
from carillon.cli.examples import examples
from carillon.cli.options import (
    json_option,
    limit_option,
    named_store,
    service_options,
    store_option,
)


@click.group()
def users() -> None:
    """Read and change users: in the store, an SQLite file or MongoDB, or through a service.

    They are there when neither CRUD_SERVICE_NAME nor CRUD_SERVICE_URL is set. `--url` or
    CARILLON_URL means the service, if one listens there; `--store` or STORE_URL means the store,
    also where both variables are set. Without any of them it is the store.
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
@service_options
@store_option
@json_option
def import_users(
    *,
    file: str,
    form: Literal["jsonl", "csv"] | None,
    url: str | None,
    api_key: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """Import users from FILE, or from stdin if that is `-`.

    A file holds JSON (one document a line, a list of them, or one after another) or CSV whose
    header names the fields, with the clusters of a user separated by `;`. A user may have `_id`,
    `emailAddress`, `phoneNumber`, `deviceToken`, `clusters` and any other field, which templates
    reach as `user.field`. Where `userFields` of the file that CONFIGURATION_PATH names gives
    other names to them, those hold.

    A user whose `_id` is known is replaced. One without `_id` is known by the field that
    `userFields.id` names, and gets an `_id` if it has none of that either. Two users of one id
    are an error. Without `__STATE__` a user is PUBLIC; others get no messages. If a line is bad,
    nothing of the file is imported. A running service need not be stopped.
    """
    from functools import partial

    from carillon.cli.directory.importing import Import, import_file, import_to_service
    from carillon.cli.directory.local_store import user_fields
    from carillon.cli.directory.place import asked_service
    from carillon.cli.failure import BadInput
    from carillon.stores.imports.documents import csv_rows, json_documents

    if (service := asked_service(url, api_key)) is not None:
        if form == "csv":
            raise BadInput("A service takes no CSV: import that into the store")
        import_to_service(service, "user", file, as_json=as_json)
        return
    where = named_store(store)
    fields = user_fields(where)
    is_csv = form == "csv" or (form is None and file.lower().endswith(".csv"))
    read = partial(csv_rows, clusters=fields.clusters) if is_csv else json_documents
    import_file(Import("user", read, fields), file, where, as_json=as_json)


@users.command(
    "list", epilog=examples("carillon users list", "carillon users list --json | jq -r ._id")
)
@click.option("--cluster", help="Only the members of this cluster.")
@limit_option
@service_options
@store_option
@json_option
def list_users(
    *,
    cluster: str | None,
    limit: int | None,
    url: str | None,
    api_key: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """List users by id: as a table, or with --json one document a line, as `import` takes them."""
    from carillon.cli.directory.listing import list_collection
    from carillon.cli.directory.place import place_of

    documents = place_of(url, api_key, store).documents("user", cluster)
    list_collection("user", documents, limit, dict, as_json=as_json)


add_document_commands(users, "user", '{"emailAddress": "ada@example.com"}')
