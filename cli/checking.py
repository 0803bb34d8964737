"""Looking at the templates in files, and telling all that is wrong with them at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import BinaryIO, Final

from carillon.cli.documents import BadLine, json_documents
from carillon.cli.importing import name_of, opened_file
from carillon.cli.user_ids import SeenIds
from carillon.dispatches.template_faults import TemplateFaults
from carillon.messages.model import Document

_BOM: Final = b"\xef\xbb\xbf"
_HEAD: Final = 65_536


@dataclass(slots=True)
class Checked:
    """How many templates were looked at, what is wrong with them, and the values they want.

    A template is told by its place: the file, the line or the item, the `_id`.
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
