"""Compiling every text of templates in files, and telling all that is wrong at once."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pydantic_core import from_json

from cli.documents import BadLine, json_lines
from cli.failure import BadInput
from cli.templates import problems
from messages.json_keys import RepeatedKey, refuse_repeated
from messages.model import Document


def check_files(files: Sequence[str]) -> tuple[int, list[str]]:
    """How many templates were looked at, and everything that is wrong with them.

    A file holds one JSON document a line, or a JSON array of them. Raises BadInput.
    """
    checked, wrong = 0, []
    for file in files:
        try:
            for place, template in _templates(file):
                checked += 1
                wrong += [f"{place}: {problem}" for problem in problems(template)]
        except BadLine as error:
            wrong.append(f"{file}: {error}")
        except OSError as error:
            raise BadInput(f"{file}: {os.strerror(error.errno or 0)}") from None
    return checked, wrong


def _templates(file: str) -> Iterator[tuple[str, Document]]:
    content = Path(file).read_bytes()
    if not content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"["):
        with Path(file).open("rb") as lines:
            for number, template in json_lines(lines):
                yield _place(f"{file}:{number}", template), template
        return
    try:
        text = content.removeprefix(b"\xef\xbb\xbf")
        listed = from_json(text)
        refuse_repeated(text)
    except RepeatedKey as error:
        raise BadInput(f"{file}: {error}") from None
    except ValueError as error:
        raise BadInput(f"{file}: not valid JSON: {error}") from None
    for number, template in enumerate(listed, 1):
        if not isinstance(template, dict):
            raise BadInput(f"{file}: item {number} is no object")
        yield _place(f"{file}, item {number}", template), template


def _place(where: str, template: Document) -> str:
    key = template.get("_id")
    return f"{where} ({key})" if isinstance(key, str) else where
