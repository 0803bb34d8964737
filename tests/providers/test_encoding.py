"""Fields become compact JSON, whatever a text holds."""

from __future__ import annotations

import json

import pytest

from carillon.providers.encoding import json_body


@pytest.mark.parametrize("text", ["", 'D\'Angelo "è" 😀', "\x00\n\t", "half \ud83d of a pair"])
def test_what_is_written_is_read_back(text: str) -> None:
    assert json.loads(json_body({"body": text})) == {"body": text}


def test_it_is_compact() -> None:
    assert json_body({"a": ["è", 1]}) == '{"a":["è",1]}'.encode()
