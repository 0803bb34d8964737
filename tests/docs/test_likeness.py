from __future__ import annotations

import pytest

from tests.docs.likeness import ids_in_place

ONE = "57e6a1ee-6b56-41d3-bad4-edbf4911d5a3"
TWO = "6f1c2a4e-0c55-4b6f-9a43-0d1f8a2f7c11"


@pytest.mark.parametrize(
    ("shown", "came"),
    [
        ("Imported 2 users.", "Imported 2 users.\n"),
        ("user  channel\nugo   sms", "user         channel\nugo          sms\n"),
        ("took 0.4 s", "took 12 s"),
        ("at 2026-11-26T21:30:53.326Z", "at 2027-01-02T03:04:05.1Z"),
        ("…\nended: 1 sent", "running\nrunning\nended: 1 sent\n"),
        ("…\nended: 1 sent", "ended: 1 sent\n"),
        ("error: …, next", "error: a\nb, next"),
        ('{"a": 1,\n  "b": […]}', '{"a":1,"b":[1,2]}'),
        ("HTTP/1.1 202\nx: 1", "HTTP/1.1 202 \r\ndate: now\r\nX: 1\r\n\r\nbody".replace("X", "x")),
        ("HTTP/1.1 200\n\n{}", "HTTP/1.1 200 \r\nx: 1\r\n\r\n{}"),
    ],
)
def test_what_is_alike(shown: str, came: str) -> None:
    assert ids_in_place(shown, came) == {}


@pytest.mark.parametrize(
    ("shown", "came"),
    [
        ("Imported 2 users.", "Imported 3 users."),
        ("Imported 2 users.", ""),
        ("a", "a\nb"),
        ("took 0.4 s", "took long s"),
        ("…\nended: 1 sent", "ended: 1 sent\nmore"),
        ("HTTP/1.1 202\nx: 1", "HTTP/1.1 202 \r\nx: 2\r\n\r\n"),
        ("HTTP/1.1 202", "HTTP/1.1 200 \r\n\r\n"),
        ("HTTP/1.1 200\n\n{}", "HTTP/1.1 200 \r\n\r\n"),
        (f"{ONE} {ONE}", f"{ONE} {TWO}"),
        (ONE, "57e6"),
    ],
)
def test_what_is_not(shown: str, came: str) -> None:
    assert ids_in_place(shown, came) is None


def test_an_id_stands_for_the_one_in_its_place() -> None:
    assert ids_in_place(f"HTTP/1.1 202\nid: {ONE}", f"HTTP/1.1 202 \r\nid: {TWO}\r\n") == {ONE: TWO}
