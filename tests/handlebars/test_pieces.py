"""Templates taken apart: literal text and plain tags, and nothing else."""

from __future__ import annotations

import pytest

from carillon.handlebars import Engine, Limits, Piece, TemplateSyntaxError, TemplateTooLarge


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("", []),
        ("a/b", ["a/b"]),
        ("a{{to}}b", ["a", "<{{to}}>", "b"]),
        ("{{to}}{{{user.id}}}{{& x}}", ["<{{to}}>", "<{{{user.id}}}>", "<{{& x}}>"]),
        ("{{replace to '}}' ''}}?", ["<{{replace to '}}' ''}}>", "?"]),
        ("a{{! no }}b{{!-- }} --}}", ["a", "b"]),
        (r"\{{to}}{{to}}", ["{{to}}", "<{{to}}>"]),
    ],
)
def test_tags_stand_apart_from_what_is_literal(source: str, found: list[str]) -> None:
    pieces = Engine().pieces(source)
    assert [f"<{one.text}>" if one.is_tag else one.text for one in pieces] == found
    assert all(isinstance(one, Piece) for one in pieces)


@pytest.mark.parametrize(
    "source",
    ["a{{#if to}}b{{/if}}", "{{^to}}a{{/to}}", "{{> part}}", "{{#*inline 'a'}}{{/inline}}"],
)
def test_what_is_no_plain_tag_is_refused_at_its_place(source: str) -> None:
    with pytest.raises(TemplateSyntaxError, match="only plain tags") as raised:
        Engine().pieces(source)
    assert raised.value.column == source.index("{{") + 1


def test_syntax_and_limits_hold() -> None:
    with pytest.raises(TemplateSyntaxError):
        Engine().pieces("a{{to")
    with pytest.raises(TemplateTooLarge):
        Engine(limits=Limits(template_bytes=3)).pieces("aaaa")
