"""`carillon templates`: stored messages, in the store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, Final

import click

from carillon.cli.directory.commands import add_document_commands
from carillon.cli.directory.importing import name_of, opened_file
from carillon.cli.examples import examples
from carillon.cli.options import (
    json_option,
    limit_option,
    named_store,
    service_options,
    store_option,
)
from carillon.dispatches.template_faults import TemplateFaults
from carillon.messages.model import Document
from carillon.stores.imports.documents import BadLine, json_documents
from carillon.stores.imports.user_ids import SeenIds

_BOM: Final = b"\xef\xbb\xbf"
_HEAD: Final = 65_536


@dataclass(slots=True)
class Checked:
    """The number of templates checked, their faults, and the values that they need.

    A template is named by its place: the file, the line or the item, the `_id`.
    """

    count: int = 0
    problems: list[str] = field(default_factory=list)
    wanted: list[tuple[str, Sequence[str]]] = field(default_factory=list)


def check_files(files: Sequence[str]) -> Checked:
    """Look at all templates of some files; `-` is stdin.

    Raises:
        BadInput: a file cannot be read.
    """
    checked, faults = Checked(), TemplateFaults()
    for name in files:
        with opened_file(name) as file, closing(SeenIds("_id")) as seen:
            tell = partial(_note, checked, name_of(name))
            try:
                for number, place, template in _placed(file, name_of(name), tell):
                    checked.count += 1
                    found = [*faults.problems(template), *_doubles(seen, number, template)]
                    checked.problems += [f"{place}: {problem}" for problem in found]
                    if names := faults.wanted(template):
                        checked.wanted.append((place, names))
            except BadLine as error:
                tell(error)
    return checked


def _note(checked: Checked, name: str, error: BadLine) -> None:
    checked.problems.append(f"{name}: {error}")


def _doubles(seen: SeenIds, line: int, template: Document) -> Iterator[str]:
    try:
        seen.add(line, template)
    except ValueError as error:
        yield str(error)


def _placed(
    file: BinaryIO, name: str, tell: Callable[[BadLine], None]
) -> Iterator[tuple[int, str, Document]]:
    """Each template with its line and its place."""
    start = file.tell()
    is_list = file.read(_HEAD).removeprefix(_BOM).lstrip().startswith(b"[")
    file.seek(start)
    for index, (line, template) in enumerate(json_documents(file, tell), 1):
        where = f"{name}, item {index}" if is_list else f"{name}:{line}"
        key = template.get("_id")
        yield line, where if key is None else f"{where} ({key})", template


@click.group()
def templates() -> None:
    """Read, change and check templates: in the store, or through a service.

    The store, an SQLite file or MongoDB, holds them when neither CRUD_SERVICE_NAME nor
    CRUD_SERVICE_URL is set. `--url` or CARILLON_URL means the service, if one listens there;
    `--store` or STORE_URL means the store, also where both variables are set. Without any of them
    it is the store.
    """


@templates.command(
    "import",
    epilog=examples(
        "carillon templates import templates.jsonl",
        """echo '{"_id": "hi", "smsMessage": "Hi {{user.name}}"}' | carillon templates import -""",
    ),
)
@click.argument("file")
@service_options
@store_option
@json_option
def import_templates(
    *, file: str, url: str | None, api_key: str | None, store: str | None, as_json: bool
) -> None:
    """Import templates from FILE, or from stdin if that is `-`.

    A file holds JSON: one document a line, a list of them, or one after another.

    A template may have `_id`, `name`, `emailTitle`, `emailMessage`, `emailHtmlMessage`,
    `emailAttachments`, `smsMessage`, `voiceMessage`, `pushTitle`, `pushSubtitle`, `pushMessage` and
    `pushData`, and nothing else; what `carillon templates check` finds is refused.

    A template without `_id` gets one, and one whose `_id` is known is replaced; one `_id` twice
    in a file is an error. Without `__STATE__` it is PUBLIC; others cannot be sent. If a line is
    bad, nothing of the file is imported. A running service need not be stopped.
    """
    from carillon.cli.directory.importing import Import, import_file, import_to_service
    from carillon.cli.directory.place import asked_service
    from carillon.dispatches.template_faults import TemplateFaults
    from carillon.stores.imports.documents import json_documents

    if (service := asked_service(url, api_key)) is not None:
        import_to_service(service, "template", file, as_json=as_json)
        return
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
@service_options
@store_option
@json_option
def list_templates(
    *,
    limit: int | None,
    url: str | None,
    api_key: str | None,
    store: str | None,
    as_json: bool,
) -> None:
    """List templates by id: as a table, or with --json one document a line."""
    from carillon.cli.directory.listing import list_collection
    from carillon.cli.directory.place import place_of

    documents = place_of(url, api_key, store).documents("template", None)
    list_collection("template", documents, limit, _summary, as_json=as_json)


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

    from carillon.cli.directory.templates import check_files

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


add_document_commands(templates, "template", '{"smsMessage": "Hi {{user.name}}"}')


def _count(number: int, what: str) -> str:
    return f"{number or 'no'} {what}{'' if number == 1 else 's'}"


def _summary(template: Document) -> Document:
    """A row of the table: the template's name, and the channels it has texts for."""
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
