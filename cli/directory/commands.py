"""The commands that users and templates have in common: one document, or all of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from carillon.cli.examples import examples
from carillon.cli.options import json_option, service_options, store_option

if TYPE_CHECKING:
    from carillon.stores.ports import Collection


def add_document_commands(group: click.Group, collection: Collection, example: str) -> None:
    """Add `get`, `put` and `delete` to a group; `example` is a document."""
    things = f"{collection}s"

    @group.command("get", epilog=examples(f"carillon {things} get ada"))
    @click.argument("name", metavar="ID")
    @service_options
    @store_option
    def get(name: str, url: str | None, api_key: str | None, store: str | None) -> None:
        from carillon.cli.directory.place import place_of

        document = place_of(url, api_key, store).get(collection, name)
        click.echo(json.dumps(document, ensure_ascii=False))

    get.help = f"Print the {collection} ID as one line of JSON, as `import` takes it."

    @group.command("put", epilog=examples(f"echo '{example}' | carillon {things} put ada -"))
    @click.argument("name", metavar="ID")
    @click.argument("file")
    @service_options
    @store_option
    @json_option
    def put(
        *,
        name: str,
        file: str,
        url: str | None,
        api_key: str | None,
        store: str | None,
        as_json: bool,
    ) -> None:
        from carillon.cli.directory.importing import one_document
        from carillon.cli.directory.place import place_of

        is_new = place_of(url, api_key, store).put(collection, name, one_document(file))
        if as_json:
            click.echo(json.dumps({"id": name, "new": is_new}))
        else:
            click.echo(f"{'Made' if is_new else 'Replaced'} the {collection} {name}.")

    put.help = (
        f"Make the {collection} ID of the JSON object in FILE, or in stdin if that is `-`.\n\n"
        "One that is there is replaced whole."
    )

    @group.command("delete", epilog=examples(f"carillon {things} delete ada"))
    @click.argument("name", metavar="ID")
    @service_options
    @store_option
    @json_option
    def delete(
        *, name: str, url: str | None, api_key: str | None, store: str | None, as_json: bool
    ) -> None:
        from carillon.cli.directory.place import place_of

        place_of(url, api_key, store).remove(collection, name)
        click.echo(json.dumps({"id": name}) if as_json else f"Removed the {collection} {name}.")

    delete.help = f"Take the {collection} ID out."

    @group.command("export", epilog=examples(f"carillon {things} export > {things}.jsonl"))
    @service_options
    @store_option
    def export(url: str | None, api_key: str | None, store: str | None) -> None:
        from carillon.cli.directory.place import place_of

        for document in place_of(url, api_key, store).documents(collection, None):
            click.echo(json.dumps(document, ensure_ascii=False))

    export.help = f"Print all {things}, one a line of JSON, as `import` takes them."
