"""`carillon templates`: stored messages, in the store."""

from __future__ import annotations

import click

from carillon.cli.examples import examples
from carillon.cli.options import json_option, limit_option, named_store, store_option
from carillon.messages.model import Document


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
    `pushData`, and nothing else; what `carillon templates check` finds is refused.

    A template without `_id` gets one, and one whose `_id` is known is replaced; one `_id` twice
    in a file is an error. Without `__STATE__` it is PUBLIC; others cannot be sent. If a line is
    bad, nothing of the file is imported. A running service need not be stopped.
    """
    from carillon.cli.documents import json_documents
    from carillon.cli.importing import Import, import_file
    from carillon.dispatches.template_faults import TemplateFaults

    faults = TemplateFaults()

    def inspect(template: Document) -> None:
        for problem in faults.problems(template):
            raise ValueError(problem)

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
    from carillon.cli.listing import list_collection

    list_collection("template", named_store(store), limit, _summary, as_json=as_json)


@templates.command(
    "check",
    epilog=examples("carillon templates check templates.jsonl", "carillon templates check *.json"),
)
@click.argument("files", nargs=-1, required=True)
@json_option
def check(files: tuple[str, ...], *, as_json: bool) -> None:
    """Look at the templates in FILES, and tell all that is wrong at once.

    A file (`-` is stdin) holds what `templates import` reads: JSON, one document a line, a list of
    them, or one after another. Found are errors of syntax, helpers and partials that nobody has,
    calls that can only fail (of a time zone that is none), fields that no template has, a mail
    without title, `pushData` that can't be JSON, and one `_id` twice; each with file and line,
    `_id`, field, and line and column within it. The values that each template wants are listed.

    Exit codes: 0 all is right, 1 something is wrong.
    """
    import json

    from carillon.cli.checking import check_files

    checked = check_files(files)
    problems = checked.problems
    if as_json:
        wanted = [{"template": place, "wants": [*names]} for place, names in checked.wanted]
        report = {"checked": checked.count, "problems": problems, "templates": wanted}
        click.echo(json.dumps(report, ensure_ascii=False))
    else:
        for place, names in checked.wanted:
            click.echo(f"{place} wants {', '.join(names)}")
        for problem in problems:
            click.echo(problem)
        click.echo(
            f"{_count(checked.count, 'template')} checked, {_count(len(problems), 'problem')}"
        )
    if problems:
        raise SystemExit(1)


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _summary(template: Document) -> Document:
    """A line of the table: what it is called, and the channels it has texts for."""
    from carillon.dispatches.template_faults import TEXTS

    channels = [
        channel
        for channel in ("email", "sms", "push", "voice")
        if any(name.startswith(channel) and template.get(name) for name in TEXTS)
    ]
    return {
        "_id": template.get("_id"),
        "name": template.get("name"),
        "channels": list(channels),
        "__STATE__": template.get("__STATE__"),
    }
