"""`carillon render`: a template and a context in, the text out."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import IO

import click

from carillon.cli.examples import examples
from carillon.cli.failure import BadInput
from carillon.dispatches.render import written_breaks
from carillon.handlebars import Engine, Escaping, TemplateError, standard_helpers
from carillon.messages.json_keys import RepeatedKey, refuse_repeated
from carillon.messages.model import CHANNELS, Channel
from carillon.providers.sms_alphabet import sms_parts


class Renderer:
    """Renders as the service would for a channel, or as Handlebars.js does without one.

    `email` is the HTML body: values are escaped, and line breaks written as escape sequences
    become `<br/>`. The other channels show values as they are.
    """

    def __init__(self, target: Channel | None, locale: str, *, date_plugins: bool) -> None:
        helpers = standard_helpers(locale, date_plugins=date_plugins)
        self.engine = Engine(helpers, locale=locale)
        self.target = target

    @property
    def escaping(self) -> Escaping:
        """What `{{…}}` escapes."""
        return "html" if self.target in (None, "email") else "none"

    def render(self, template: str, context: Mapping[str, object]) -> str:
        """The text. Raises TemplateError."""
        text = self.engine.compile(template, escaping=self.escaping).render(context)
        return written_breaks(text) if self.target == "email" else text


def read_text(file: str, stdin: IO[bytes]) -> str:
    """The text of a file, or of stdin for `-`. Raises BadInput."""
    try:
        content = stdin.read() if file == "-" else Path(file).read_bytes()
        return content.decode("utf-8-sig")
    except OSError as error:
        raise BadInput(f"{file}: {os.strerror(error.errno or 0)}") from None
    except UnicodeDecodeError:
        raise BadInput(f"{file}: not UTF-8") from None


def parse_context(text: str, where: str) -> Mapping[str, object]:
    """A context; `{"$date": "ISO text"}` in it is a date-time. Raises BadInput."""
    try:
        context = _parse(text)
        refuse_repeated(text)
    except RepeatedKey as error:
        raise BadInput(f"{where}: {error}") from None
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{where}: not valid JSON: {error}") from None
    if not isinstance(context, dict):
        raise BadInput(f"{where}: the context must be a JSON object")
    return context


def render_cases(lines: Iterable[bytes], renderer: Renderer) -> Iterator[str]:
    """For each line `{"id"?, "template", "context"}` one with "id" and "output", or "error"."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield json.dumps(_case(line, number, renderer), ensure_ascii=False)


def _case(line: bytes, number: int, renderer: Renderer) -> dict[str, object]:
    try:
        case = _parse(line.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        return {"id": None, "error": f"line {number}: not valid JSON: {error}"}
    if not isinstance(case, dict) or not isinstance(case.get("template"), str):
        return {"id": None, "error": f"line {number}: must be an object with a template"}
    try:
        output = renderer.render(case["template"], case.get("context", {}))
    except TemplateError as error:
        return {"id": case.get("id"), "error": str(error)}
    return {"id": case.get("id"), "output": output}


def _parse(text: str) -> object:
    value: object = json.loads(text, object_hook=_with_dates, parse_constant=_no_constant)
    return value


def _no_constant(name: str) -> object:
    raise ValueError(f"{name} is no JSON")


def _with_dates(found: dict[str, object]) -> object:
    text = found.get("$date")
    if len(found) == 1 and isinstance(text, str):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return found
    return found


@click.command(
    epilog=examples(
        "carillon render mail.hbs context.json --channel email",
        "echo 'Hi {{user.name}}' | carillon render - context.json",
        "carillon render mail.hbs context.json --missing",
        "carillon render --jsonl < cases.jsonl",
    )
)
@click.argument("template", default="-")
@click.argument("context", required=False)
@click.option(
    "--channel",
    type=click.Choice(CHANNELS),
    help="Escape as the service does for this channel; email is the HTML body.",
)
@click.option("--missing", is_flag=True, help="List the values that are wanted and not there.")
@click.option("--jsonl", is_flag=True, help="Render one case a line, from stdin or a file.")
@click.option(
    "--locale", envvar="DEFAULT_LOCALE", default="en-US", show_default=True, help="Of toLocale."
)
@click.option(
    "--date-plugins", is_flag=True, help="Give dateFormat the tokens of Day.js's plugins too."
)
@click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print a JSON object; for sms also how many parts it is.",
)
def render(
    template: str,
    context: str | None,
    *,
    channel: str | None,
    missing: bool,
    jsonl: bool,
    locale: str,
    date_plugins: bool,
    as_json: bool,
) -> None:
    """Render the file TEMPLATE with the JSON object in the file CONTEXT, to stdout.

    `-` is stdin, for one of the two. Without CONTEXT the context is empty. In a context
    {"$date": "ISO text"} is a date-time. Without --channel values are escaped as Handlebars.js
    does.

    With --jsonl each line of TEMPLATE (stdin unless a file is named) is an object
    {"id", "template", "context"}, and each line printed is {"id", "output"} or {"id", "error"}.

    Exit codes: 0 rendered, 1 the template failed or, with --missing, values are missing.
    """
    try:
        renderer = Renderer(_target(channel), locale, date_plugins=date_plugins)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--locale") from None
    if jsonl:
        _render_lines(template, renderer)
    elif missing:
        _show_missing(template, context, renderer, as_json=as_json)
    else:
        _render_one(template, context, renderer, as_json=as_json)


def _render_one(template: str, context: str | None, renderer: Renderer, *, as_json: bool) -> None:
    import json

    from carillon.cli.failure import Failure
    from carillon.handlebars import TemplateError

    text, values = _inputs(template, context)
    try:
        output = renderer.render(text, values)
    except TemplateError as error:
        if as_json:
            click.echo(json.dumps({"error": str(error)}, ensure_ascii=False))
            raise SystemExit(1) from None
        raise Failure(f"{template}: {error}") from None
    if not as_json:
        click.echo(output, nl=False)
        return
    told: dict[str, object] = {"output": output}
    if renderer.target == "sms":
        told["sms"] = asdict(sms_parts(output))
    click.echo(json.dumps(told, ensure_ascii=False))


def _show_missing(template: str, context: str | None, renderer: Renderer, *, as_json: bool) -> None:
    import json

    from carillon.cli.failure import Failure
    from carillon.handlebars import TemplateError
    from carillon.handlebars import missing as missing_values

    text, values = _inputs(template, context)
    try:
        names = missing_values(renderer.engine.compile(text, escaping=renderer.escaping), values)
    except TemplateError as error:
        raise Failure(f"{template}: {error}") from None
    if as_json:
        click.echo(json.dumps({"missing": names}, ensure_ascii=False))
    else:
        for name in names:
            click.echo(name)
    if names:
        raise SystemExit(1)


def _render_lines(file: str, renderer: Renderer) -> None:
    import os

    from carillon.cli.failure import BadInput

    try:
        with click.open_file(file, "rb") as lines:
            for line in render_cases(lines, renderer):
                click.echo(line)  # click flushes each line, so that a reader need not wait
    except OSError as error:
        raise BadInput(f"{file}: {os.strerror(error.errno or 0)}") from None


def _inputs(template: str, context: str | None) -> tuple[str, Mapping[str, object]]:
    from carillon.cli.failure import BadInput

    if template == context == "-":
        raise BadInput("Only one of template and context can be stdin")
    stdin = sys.stdin.buffer
    text = read_text(template, stdin)
    if context is None:
        return text, {}
    return text, parse_context(read_text(context, stdin), context)


def _target(channel: str | None) -> Channel | None:
    return next((name for name in CHANNELS if name == channel), None)
