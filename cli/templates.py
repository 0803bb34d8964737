"""`carillon templates`: stored messages, in the embedded store."""

from __future__ import annotations

from typing import Final

import click

from cli.examples import examples
from cli.options import json_option, limit_option, store_option, store_path
from messages.model import Document

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
_HTML: Final = "emailHtmlMessage"


@click.group()
def templates() -> None:
    """Import and list the templates of the embedded store.

    They are found there when neither CRUD_SERVICE_NAME nor CRUD_SERVICE_URL is set.
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
    """Import templates from FILE, or from stdin if that is `-`: one JSON document a line.

    A template may have `_id`, `name`, `emailTitle`, `emailMessage`, `emailHtmlMessage`,
    `emailAttachments`, `smsMessage`, `voiceMessage`, `pushTitle`, `pushSubtitle`, `pushMessage` and
    `pushData`. Each text is compiled, and one with a syntax error is refused.

    A template without `_id` gets one, and one whose `_id` is known is replaced. Without
    `__STATE__` it is PUBLIC; others cannot be sent. If a line is bad, nothing of the file is
    imported. A running service need not be stopped.
    """
    from cli.documents import json_lines
    from cli.importing import Import, import_file

    import_file(Import("template", json_lines, inspect), file, store_path(store), as_json=as_json)


@templates.command(
    "list", epilog=examples("carillon templates list", "carillon templates list --json | jq .name")
)
@limit_option
@store_option
@json_option
def list_templates(limit: int | None, store: str | None, *, as_json: bool) -> None:
    """List templates by id: as a table, or with --json one document a line."""
    from cli.listing import list_collection

    list_collection("template", store_path(store), limit, _summary, as_json=as_json)


def inspect(template: Document) -> None:
    """Raise ValueError for a template that could never be sent as it is written."""
    from messages.templates import Engine, TemplateSyntaxError

    engine = Engine(cache_size=1)
    for name in ("name", *_TEXTS):
        text = template.get(name)
        if text is None:
            continue
        if not isinstance(text, str):
            raise ValueError(f"{name} must be a text")  # noqa: TRY004 - bad data, no bug
        if name != "name":
            try:
                engine.compile(text, html=name == _HTML)
            except TemplateSyntaxError as error:
                raise ValueError(f"{name}, {error.line}:{error.column}: {error.message}") from None
    _inspect_attachments(template)


def _inspect_attachments(template: Document) -> None:
    attachments = template.get("emailAttachments")
    if attachments is None:
        return
    if not isinstance(attachments, list):
        raise ValueError("emailAttachments must be a list")  # noqa: TRY004 - bad data, no bug
    for attachment in attachments:
        if not isinstance(attachment, dict) or not isinstance(attachment.get("file"), str):
            raise ValueError('each of emailAttachments must be an object with a "file"')  # noqa: TRY004 - bad data, no bug


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
