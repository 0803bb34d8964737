"""Documents in files: JSON and CSV, read one by one, a bad one named by its line."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Callable, Iterator
from typing import BinaryIO, Final

from pydantic_core import from_json

from carillon.messages.json_keys import RepeatedKey, refuse_repeated
from carillon.messages.model import Document, JsonValue
from carillon.stores.imports.json_values import NoValue, objects

STATES: Final = ("PUBLIC", "DRAFT", "TRASH", "DELETED")
_BOM: Final = b"\xef\xbb\xbf"
_OVERFLOWING: Final = re.compile(rb"[0-9][eE]\+?[0-9]{3}|[0-9]{309}")
_LIST_SEPARATOR: Final = ";"
_MOST_COLUMNS: Final = 1_000
_LONGEST_LINE: Final = 16 << 20
"""Bytes of a line: what MongoDB takes as one document, and more than anybody has of a user."""
_OTHER_SEPARATORS: Final = {";": "semicolons", "\t": "tabs", "|": "bars"}
_PLACE: Final = re.compile(r"at line (\d+) column")


class BadLine(Exception):
    """A line holds no document that can be imported."""

    def __init__(self, number: int, reason: str) -> None:
        super().__init__(f"line {number}: {reason}")


Read = Callable[[BinaryIO], Iterator[tuple[int, Document]]]
"""Gives each document of a file, and the line it begins in. Raises BadLine."""


def _raise(error: BadLine) -> None:
    raise error from None


def json_lines(
    file: BinaryIO, tell: Callable[[BadLine], None] = _raise
) -> Iterator[tuple[int, Document]]:
    """One JSON object a line; empty lines are skipped, and bad ones once they are reported."""
    for number, line in enumerate(_lines(file), 1):
        text = line.removeprefix(_BOM) if number == 1 else line
        if not text.strip():
            continue
        try:
            document = checked(_object(text))
        except ValueError as error:
            tell(BadLine(number, str(error)))
        else:
            yield number, document


def json_documents(
    file: BinaryIO, tell: Callable[[BadLine], None] = _raise
) -> Iterator[tuple[int, Document]]:
    """One JSON object a line, or a list of objects, or objects that take several lines each.

    A bad one is skipped once it is reported; an error after which no part can be read is raised.
    """
    start = file.tell()
    head = file.read(len(_BOM))
    begin = start + len(_BOM) * (head == _BOM)
    file.seek(begin)
    if _is_by_line(file):
        file.seek(start)
        yield from json_lines(file, tell)
        return
    file.seek(begin)
    try:
        for number, text in objects(file):
            try:
                document = checked(_object(text))
            except ValueError as error:
                tell(_bad_line(number, str(error)))
            else:
                yield number, document
    except NoValue as none:
        raise BadLine(none.line, str(none)) from None


def _bad_line(begin: int, reason: str) -> BadLine:
    """The fault of a document that begins in a line; the fault may be further down."""
    place = _PLACE.search(reason)
    if place is None:
        return BadLine(begin, reason)
    return BadLine(begin + int(place[1]) - 1, reason.replace(place[0], "at column"))


def _is_by_line(file: BinaryIO) -> bool:
    """Whether the first line that is not empty holds a whole document, or there is no such line."""
    while (line := file.readline(_LONGEST_LINE)) and not line.strip():
        pass
    if line.lstrip().startswith(b"["):
        return False
    try:
        from_json(line)
    except ValueError:
        return not line.lstrip().startswith(b"{")
    return True


def csv_rows(file: BinaryIO, clusters: str = "clusters") -> Iterator[tuple[int, Document]]:
    """One object a row; the header names the fields, and an empty cell is an absent field.

    `clusters` names the column whose cells hold several values. Cells are stripped, and a row of
    empty cells is skipped.
    """
    rows = csv.reader(_decoded(file), strict=True)
    number = 1
    try:
        header = _header(next(rows, []))
        number = rows.line_num + 1
        for row in rows:
            cells = [cell.strip() for cell in row]
            if any(cells):
                yield number, checked(_row(header, cells, clusters))
            number = rows.line_num + 1
    except UnicodeDecodeError:
        raise BadLine(rows.line_num + 1, "not UTF-8") from None
    except (csv.Error, ValueError) as error:
        raise BadLine(number, str(error)) from None


def _decoded(file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(_lines(file)):
        yield line.decode("utf-8" if number else "utf-8-sig")


def _lines(file: BinaryIO) -> Iterator[bytes]:
    """The lines, one by one; raises BadLine for one that is too long for memory."""
    number = 0
    while line := file.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise BadLine(number, f"longer than {_LONGEST_LINE >> 20} MiB")
        yield line


def _object(text: bytes) -> Document:
    try:
        value = from_json(text, allow_inf_nan=False)
        refuse_repeated(text)
    except RepeatedKey:
        raise
    except ValueError as error:
        reason = str(error).replace("at line 1 column", "at column")
        raise ValueError(f"not valid JSON: {reason}") from None
    if _OVERFLOWING.search(text) and not _is_finite(value):
        raise ValueError("not valid JSON: a number is too large")
    if not isinstance(value, dict):
        raise ValueError("not an object; each line holds one document, as {…}")  # noqa: TRY004
    return value


def _is_finite(value: JsonValue) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _header(cells: list[str]) -> list[str]:
    if len(cells) > _MOST_COLUMNS:
        raise ValueError(f"{len(cells):,} columns; at most {_MOST_COLUMNS:,} are taken")
    names = [cell.strip() for cell in cells]
    if not any(names):
        raise ValueError("a header with the names of the fields must stand here")
    for separator, words in _OTHER_SEPARATORS.items():
        if len(names) == 1 and separator in names[0]:
            raise ValueError(
                f"no comma in the header, but {words}; columns are separated by commas"
            )
    for name in names:
        if not name:
            raise ValueError("a column of the header has no name")
        if names.count(name) > 1:
            raise ValueError(f"the header names {name} twice")
    return names


def _row(header: list[str], cells: list[str], clusters: str) -> Document:
    if len(cells) != len(header):
        raise ValueError(f"{len(cells)} cells, but the header has {len(header)}")
    document: Document = {name: cell for name, cell in zip(header, cells, strict=True) if cell}
    listed = document.get(clusters)
    if isinstance(listed, str):
        parts = (part.strip() for part in listed.split(_LIST_SEPARATOR))
        document[clusters] = [part for part in parts if part]
    return document


def checked(document: Document) -> Document:
    """The document with an `_id` the store can hold; a MongoDB export's `$oid` is taken out.

    Raises ValueError.
    """
    key = document.get("_id")
    if isinstance(key, dict) and len(key) == 1 and isinstance(key.get("$oid"), str):
        document["_id"] = key["$oid"]
    elif isinstance(key, bool | float | list | dict):
        raise ValueError("_id must be a text or a whole number")
    state = document.get("__STATE__", "PUBLIC")
    if state not in STATES:
        raise ValueError(f"__STATE__ must be one of {', '.join(STATES)}")
    return document
