"""Syntax of addresses, and that no input makes checking one slow."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.messages.addresses import is_email, is_mailbox, phone_number

GOOD = [
    "a@b",
    "ada@localhost",
    "first.last+tag@sub.example.test",
    '"quoted local"@example.com',
    "üñï@exämple.it",
    "o'hara@example.com",
]
BAD = [
    "",
    "a",
    "@b",
    "a@",
    "a@b@c",
    "a..b@c",
    ".a@b",
    "a b@c",
    "a@b..c",
    "a@-b",
    "a@b-",
    "a@b.it\n",
    "a@b.it,c@d.it",
    "Ada <a@b.it>",
    "a@b.it\u2028",
    "a\x00@b",
    "x" * 65 + "@b",
    "a@" + "b" * 64,
    "a@" + "b." * 150 + "c",
]


@pytest.mark.parametrize("text", GOOD)
def test_one_address_is_an_email(text: str) -> None:
    assert is_email(text)
    assert is_mailbox(text)
    assert is_mailbox(f"Some Body <{text}>")


@pytest.mark.parametrize("text", BAD)
def test_anything_else_is_none(text: str) -> None:
    assert not is_email(text)


@pytest.mark.parametrize(
    "text", ["X\r\nBcc: <a@b.it>", "a <b> <a@b.it>", "<a@b.it", "Shop a@b.it", "Shop <>", "x<y"]
)
def test_a_malformed_mailbox_is_refused(text: str) -> None:
    assert not is_mailbox(text)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+39021234567", "+39021234567"),
        ("+39 (02) 12-34.567", "+39021234567"),
        ("+[39] 333", "+39333"),
        ("+12", "+12"),
        ("+" + "1" * 15, "+" + "1" * 15),
        ("+" + "1" * 16, None),
        ("+1", None),
        ("+0123", None),
        ("39021234567", None),
        ("+39\u0663333", None),
        ("+39x333", None),
        ("", None),
        ("+39333\n", None),
    ],
)
def test_a_phone_number_is_international(text: str, number: str | None) -> None:
    assert phone_number(text) == number


@given(st.text())
def test_no_address_has_control_characters(text: str) -> None:
    if is_email(text) or is_mailbox(text):
        assert not any(ord(character) < 32 or ord(character) == 127 for character in text)


@pytest.mark.parametrize(
    "text",
    ["a." * 5000, "a" * 10_000, "@" * 254, '"' + "\\" * 250, " " * 998, "<" * 998, "a@" * 120],
)
def test_no_input_is_slow(text: str) -> None:
    started = time.process_time()
    for _ in range(100):
        is_email(text)
        is_mailbox(text)
        phone_number(text)
    assert (time.process_time() - started) / 100 < 0.001
