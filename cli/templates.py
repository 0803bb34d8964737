"""`carillon templates`: stored messages, in the store."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import click

from cli.examples import examples
from cli.options import json_option, limit_option, named_store, store_option
from messages.model import Document, JsonValue

_TEXTS: Final = (
    "emailTitle",
    "emailMessage",
    "emailHtmlMessage",
    "smsMessage",
    "voiceMessage",
    "pushTitle",
    "pushSubtitle",
    "pushMessage",
    "pushData",
)


@click.group()
def templates() -> None:
    """Import, list and check templates.

    The store, an SQLite file or MongoDB, holds them when neither CRUD_SERVICE_NAME nor
    CRUD_SERVICE_URL is set.
    """


@templates.command(
    "import",
    epilog=examples(
        "carillon templates import templates.jsonl",
        """echo '{"_id": "hi", "smsMessage": "Hi {{user.name}}"}' | carillon templates import -""",
    ),
)
@click.argument("file")
@store_option
@json_option
def import_templates(file: str, store: str | None, *, as_json: bool) -> None:
    """Import templates from FILE, or from stdin if that is `-`.

    A file holds JSON: one document a line, a list of them, or one after another.

    A template may have `_id`, `name`, `emailTitle`, `emailMessage`, `emailHtmlMessage`,
    `emailAttachments`, `smsMessage`, `voiceMessage`, `pushTitle`, `pushSubtitle`, `pushMessage` and
    `pushData`. Each text is compiled, and one with a syntax error is refused.

    A template without `_id` gets one, and one whose `_id` is known is replaced; one `_id` twice
    in a file is an error. Without `__STATE__` it is PUBLIC; others cannot be sent. If a line is
    bad, nothing of the file is imported. A running service need not be stopped.
    """
    from cli.documents import json_documents
    from cli.importing import Import, import_file

    job = Import("template", json_documents, inspect=inspect)
    import_file(job, file, named_store(store), as_json=as_json)


@templates.command(
    "list", epilog=examples("carillon templates list", "carillon templates list --json | jq .name")
)
@limit_option
@store_option
@json_option
def list_templates(limit: int | None, store: str | None, *, as_json: bool) -> None:
    """List templates by id: as a table, or with --json one document a line."""
    from cli.listing import list_collection

    list_collection("template", named_store(store), limit, _summary, as_json=as_json)


@templates.command(
    "check",
    epilog=examples("carillon templates check templates.jsonl", "carillon templates check *.json"),
)
@click.argument("files", nargs=-1, required=True)
@json_option
def check(files: tuple[str, ...], *, as_json: bool) -> None:
    """Compile every text of the templates in FILES and tell all that is wrong at once.

    A file holds one JSON document a line, as `templates import` reads it, or a JSON array, as the
    CRUD Service exports it. Exit codes: 0 all can be compiled, 1 some cannot.
    """
    import json

    from cli.checking import check_files

    checked, wrong = check_files(files)
    if as_json:
        click.echo(json.dumps({"checked": checked, "problems": wrong}, ensure_ascii=False))
    else:
        for problem in wrong:
            click.echo(problem)
        click.echo(f"{checked} templates checked, {len(wrong) or 'no'} problems")
    if wrong:
        raise SystemExit(1)


def inspect(template: Document) -> None:
    """Raise ValueError for a template that could never be sent as it is written."""
    for problem in problems(template):
        raise ValueError(problem)


def problems(template: Document) -> Iterator[str]:
    """Everything for which a template could never be sent as it is written."""
    from messages.render import escaping_of
    from messages.templates import Engine, TemplateSyntaxError

    engine = Engine(cache_size=1)
    for name in ("name", *_TEXTS):
        text = template.get(name)
        if text is not None and not isinstance(text, str):
            yield f"{name} must be a text"
        elif text is not None and name != "name":
            try:
                engine.compile(text, escaping=escaping_of(name))
            except TemplateSyntaxError as error:
                yield f"{name}, {error.line}:{error.column}: {error.message}"
    yield from _attachment_problems(template.get("emailAttachments"))


def _attachment_problems(attachments: JsonValue) -> Iterator[str]:
    if attachments is None:
        return
    if not isinstance(attachments, list):
        yield "emailAttachments must be a list"
        return
    for attachment in attachments:
        if not isinstance(attachment, dict) or not isinstance(attachment.get("file"), str):
            yield 'each of emailAttachments must be an object with a "file"'


def _summary(template: Document) -> Document:
    """A line of the table: what it is called, and the channels it has texts for."""
    channels = [
        channel
        for channel in ("email", "sms", "push", "voice")
        if any(name.startswith(channel) and template.get(name) for name in _TEXTS)
    ]
    return {
        "_id": template.get("_id"),
        "name": template.get("name"),
        "channels": list(channels),
        "__STATE__": template.get("__STATE__"),
    }
