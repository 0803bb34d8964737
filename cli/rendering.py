"""Rendering for the command line: engines by channel, contexts in JSON, cases a line each."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import IO

from carillon.cli.failure import BadInput
from carillon.dispatches.render import written_breaks
from carillon.handlebars import Engine, Escaping, TemplateError, standard_helpers
from carillon.messages.json_keys import RepeatedKey, refuse_repeated
from carillon.messages.model import Channel


class Renderer:
    """Renders as the service would for a channel, or as Handlebars.js does without one.

    `email` is the HTML body: values are escaped, and line breaks written as escape sequences
    become `<br/>`. The other channels show values as they are.
    """

    def __init__(self, target: Channel | None, locale: str, *, date_plugins: bool) -> None:
        helpers = standard_helpers(locale, date_plugins=date_plugins)
        self.engine = Engine(helpers, locale=locale)
        self._target = target

    @property
    def escaping(self) -> Escaping:
        """What `{{…}}` escapes."""
        return "html" if self._target in (None, "email") else "none"

    def render(self, template: str, context: Mapping[str, object]) -> str:
        """The text. Raises TemplateError."""
        text = self.engine.compile(template, escaping=self.escaping).render(context)
        return written_breaks(text) if self._target == "email" else text


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
