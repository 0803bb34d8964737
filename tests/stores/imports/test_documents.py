from __future__ import annotations

import io
from time import process_time
from typing import TYPE_CHECKING

import pytest

from carillon.messages.model import Document
from carillon.stores.imports.documents import BadLine, Read, csv_rows, json_lines

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


def lines(content: bytes) -> list[tuple[int, Document]]:
    return [*json_lines(io.BytesIO(content))]


def rows(content: bytes) -> list[tuple[int, Document]]:
    return [*csv_rows(io.BytesIO(content))]


def test_json_lines_may_have_a_mark_empty_lines_and_any_line_end() -> None:
    content = b'\xef\xbb\xbf{"_id": "a"}\r\n\n  \n{"_id": "b"}'
    assert lines(content) == [(1, {"_id": "a"}), (4, {"_id": "b"})]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1]", "not an object"),
        (b'"text"', "not an object"),
        (b'{"a": NaN}', "not valid JSON"),
        (b'{"a": 1, "b": {"c": 1, "c": 2}}', "b.c stands there twice; once is allowed"),
        (b'{"a": Infinity}', "not valid JSON"),
        (b'{"a": [1e999]}', "a number is too large"),
        (b'{"a": "\\ud800"}', "not valid JSON"),
        (b'{"a": "\xff"}', "not valid JSON"),
        (b'{"a": 1', "not valid JSON"),
        (b'{"a": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"a":' * 250 + b"1" + b"}" * 250, "not valid JSON"),
        (b'{"_id": [1]}', "_id must be"),
        (b'{"_id": true}', "_id must be"),
        (b'{"__STATE__": "public"}', "__STATE__ must be one of PUBLIC"),
        (b'{"__STATE__": []}', "__STATE__ must be"),
    ],
)
def test_a_line_that_is_no_document_is_named(line: bytes, reason: str) -> None:
    with pytest.raises(BadLine, match=f"^line 3: .*{reason}"):
        lines(b"{}\n{}\n" + line)


def test_large_exponents_that_are_finite_are_numbers() -> None:
    assert lines(b'{"a": 1e300, "b": "1e999", "c": {"d": []}}') == [
        (1, {"a": 1e300, "b": "1e999", "c": {"d": []}})
    ]


def test_the_id_of_a_mongodb_export_is_taken_out() -> None:
    content = b'{"_id": {"$oid": "5f27e4d3a1b2c3d4e5f60718"}}'
    assert lines(content) == [(1, {"_id": "5f27e4d3a1b2c3d4e5f60718"})]


def test_the_header_of_a_csv_names_the_fields() -> None:
    content = b'\xef\xbb\xbf_id,name,clusters\r\nada,"D\'Angelo, Ada",a; b;\r\n\r\nbob,,\r\n'
    assert rows(content) == [
        (2, {"_id": "ada", "name": "D'Angelo, Ada", "clusters": ["a", "b"]}),
        (4, {"_id": "bob"}),
    ]


def test_cells_are_stripped_and_rows_of_empty_ones_are_no_documents() -> None:
    content = b'_id,name\n,\n ada ," Ada\xc2\xa0"\n ,\xe3\x80\x80\n,,,,\n\nbob,  \n'
    assert rows(content) == [(3, {"_id": "ada", "name": "Ada"}), (7, {"_id": "bob"})]


def test_a_cell_may_span_lines_and_the_numbers_stay_right() -> None:
    assert rows(b'_id,note\n1,"a\nb"\n2,x\n') == [
        (2, {"_id": "1", "note": "a\nb"}),
        (4, {"_id": "2", "note": "x"}),
    ]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "line 1: a header"),
        (b",,\n", "line 1: a header"),
        (b"a,\n", "line 1: a column of the header has no name"),
        (b"a,b,a\n", "line 1: the header names a twice"),
        (b"a;b\n1;2\n", "line 1: no comma in the header, but semicolons"),
        (b"a\tb\n1\t2\n", "line 1: no comma in the header, but tabs"),
        (b"a|b\n1|2\n", "line 1: no comma in the header, but bars"),
        (b"a,b\n1,2\n1\n", "line 3: 1 cells, but the header has 2"),
        (b'a,b\n1,"2\n', "line 2: unexpected end"),
        (b"a,b\n1,2\n1,\xff\n", "line 3: not UTF-8"),
        (b"__STATE__,b\nno,1\n", "line 2: __STATE__ must be"),
    ],
)
def test_a_row_that_is_no_document_is_named(content: bytes, reason: str) -> None:
    with pytest.raises(BadLine, match=f"^{reason}"):
        rows(content)


def test_a_header_of_a_hundred_thousand_columns_is_refused_cheaply() -> None:
    header = ",".join(f"c{number}" for number in range(100_000)).encode() + b"\n"
    began = process_time()
    with pytest.raises(BadLine, match="line 1: 100,000 columns; at most 1,000 are taken"):
        rows(header + b"1,2\n")
    assert process_time() - began < 1.0  # to look for repeats among them takes minutes
    thousand = ",".join(f"c{number}" for number in range(1000)).encode()
    assert len(rows(thousand + b"\n" + thousand)[0][1]) == 1000


class Endless(io.RawIOBase):
    """A file whose first line goes on for ever; it counts what is read of it."""

    given = 0

    def readable(self) -> bool:
        return True

    def readinto(self, into: WriteableBuffer) -> int:
        view = memoryview(into)
        view[:] = b"x" * len(view)
        self.given += len(view)
        return len(view)


@pytest.mark.parametrize("read", [json_lines, csv_rows])
def test_a_line_without_end_is_refused_and_not_held_in_memory(read: Read) -> None:
    file = Endless()
    with pytest.raises(BadLine, match="line 1: longer than 16 MiB"):
        next(read(io.BufferedReader(file)))
    assert file.given < 20 << 20
