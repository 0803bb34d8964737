"""Names in Content-Disposition (RFC 6266) and media types."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.stores.files import disposition_name, media_type
from tests.properties import examples


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("", None),
        ("inline", None),
        ("attachment; filename=a.pdf", "a.pdf"),
        ('attachment; filename="a b.pdf"', "a b.pdf"),
        (r'attachment; filename="a \"b\" \\c.pdf"', "c.pdf"),
        (r'attachment; filename="a \"b\".pdf"', 'a "b".pdf'),
        ("attachment; filename*=UTF-8''na%C3%AFve%20file.txt", "naïve file.txt"),
        ("attachment; filename*=iso-8859-1'en'%A3.txt", "£.txt"),
        ("attachment; filename=\"plain.txt\"; filename*=UTF-8''%E2%82%AC.txt", "€.txt"),
        ("attachment; FileName*=utf-8''x.txt; filename=y.txt", "x.txt"),
        ("attachment; filename*=UTF-8''%FF; filename=y.txt", "y.txt"),
        ("attachment; filename*=none''x; filename=y.txt", "y.txt"),
        ("attachment; filename=\"; filename*=UTF-8''x.txt\"", "; filename*=UTF-8''x.txt"),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        (r'attachment; filename="C:\\tmp\\a.txt"', "a.txt"),
        ("attachment; filename*=UTF-8''a%0D%0ABcc%3A%20x", "aBcc: x"),
        ("attachment; filename*=UTF-8''..%2F", None),
        ('attachment; filename=""', None),
    ],
)
def test_the_name_a_disposition_gives(header: str, name: str | None) -> None:
    assert disposition_name(header) == name


@settings(max_examples=examples(50))
@given(st.text(max_size=80))
def test_any_disposition_gives_a_bare_name_or_none(text: str) -> None:
    name = disposition_name(f"attachment; filename{text}")
    assert name is None or (name.isprintable() and "/" not in name and "\\" not in name)


@pytest.mark.parametrize(
    ("header", "name", "expected"),
    [
        ("Application/PDF; x=y", "a.txt", "application/pdf"),
        ("application/octet-stream", "a.txt", "application/octet-stream"),
        (None, "a.txt", "text/plain"),
        ("", "a.unknown-kind", "application/octet-stream"),
        ("nonsense", "a.png", "image/png"),
        ("text/plain\r\nBcc: x", "a", "application/octet-stream"),
    ],
)
def test_the_media_type_is_the_declared_one_or_guessed(
    header: str | None, name: str, expected: str
) -> None:
    assert media_type(header, name) == expected
