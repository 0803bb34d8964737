"""Whether a template can become a JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carillon.handlebars import Engine

ENGINE = Engine()


def told(source: str) -> list[tuple[int, int, str]]:
    faults = ENGINE.faults(source, escaping="json")
    return [(fault.line, fault.column, fault.message) for fault in faults]


@pytest.mark.parametrize(
    ("source", "place", "said"),
    [
        ("Hello {{user.name}}", (1, 1), "`H` can't stand here"),
        ('{"a": Hi {{n}} }', (1, 7), "`H` can't stand here"),
        ('{"a": "{{n}}",}', (1, 15), "`}` can't stand here"),
        ('{"a": "x" "b": "y"}', (1, 11), "can't stand here"),
        ('{\n "a": {{n}}\n "b": 1}', (3, 5), "`:` can't stand here"),
        ('{"a": "{{n}}"', (1, 13), "it ends too early"),
        ('{"a": [1, 2}', (1, 12), "`}` can't stand here"),
        ("{'a': 1}", (1, 2), "`'` can't stand here"),
        ('{"a": "x\ny"}', (1, 9), "a line break can't stand here"),
        ('{"a": "\\x"}', (1, 9), "`x` can't stand here"),
        ('{"a": 01}', (1, 8), "`1` can't stand here"),
        ('{"a": tru}', (1, 10), "`}` can't stand here"),
        ('{"a": undefined}', (1, 7), "`u` can't stand here"),
        ('{"a": 1} {{n}} x', (1, 16), "`x` can't stand here"),
        ("[{{n}}]", (1, 1), "`[` can't stand here"),
        ("{{data.push}}", (1, 1), "`{{{…}}}` leaves them"),
        ("{{#if a}}x{{else}}y{{/if}}", (1, 19), "can't stand here"),
        ('{"a": {{#each l}}"x" {{/each}}"y" "z"}', (1, 35), "can't stand here"),
        ('{"android": "{{n}}"}', (1, 13), "`android` and `apns` are objects"),
        ('{"apns": [1]}', (1, 10), "`android` and `apns` are objects"),
    ],
)
def test_where_no_json_comes_of_it_is_told(source: str, place: tuple[int, int], said: str) -> None:
    [(*found, message)] = told(source)
    assert (tuple(found), said in message) == (place, True), message


@pytest.mark.parametrize(
    "source",
    [
        "{}",
        ' {"a": "{{n}}", "b": {{n}}, "c": [{{n}}], "d": "\\u00e9\\n\\"", "e": -1.5e+3}\n',
        '{"android": {"t": "{{n}}"}, "apns": null}',
        '{"android": {{{JSONstringify data}}} }',
        "{{{data.push}}}",
        "{ {{{members}}} }",
        '{"l": [{{#each l}}"{{this}}"{{#unless @last}},{{/unless}}{{/each}}]}',
        '{{#if a}}{"a": 1}{{else}}{"b": 2}{{/if}}',
        '{{#if a}}{"a": 1{{/if}}{{#unless a}}{"b": 2{{/unless}} }',
        '{"a": 1{{#if b}}, "b": 2{{/if}} }',
        '{"a": "{{#eq n 1}}one{{else}}{{n}}{{/eq}}"}',
        '{"a": "{{#uppercase}}x"y{{/uppercase}}"}',
        '{"a": {{n}}.5, "b": -{{n}}, "c": {{n}}{{m}} }',
        '{"andr{{n}}": 3, "a": {"android": 4}}',
        '{{#*inline "p"}}"x"{{/inline}}{"a": {{> p}} }',
        '{{!-- what it is for --}}\n{"a": true, "b": false, "c": null}',
    ],
)
def test_what_may_become_json_is_not_told(source: str) -> None:
    assert told(source) == []


ATOMS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="ascii", exclude_characters="{}\\"), max_size=8)
)
NAMES = st.text("abc", min_size=1, max_size=2)
VALUES = st.recursive(
    ATOMS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[-0-9.eE+]+|true|false|null')


@pytest.mark.slow
@given(
    content=st.dictionaries(NAMES, VALUES, max_size=4),
    ways=st.lists(st.sampled_from(["bare", "escaped", "block", "as it is"]), min_size=1),
)
def test_json_with_parts_of_it_in_tags_is_never_found_impossible(
    content: Mapping[str, object], ways: list[str]
) -> None:
    values: dict[str, str] = {}
    chosen = cycle(ways)

    def as_tag(found: re.Match[str]) -> str:
        token, way, name = found[0], next(chosen), f"v{len(values)}"
        if way == "as it is" or (way == "escaped" and "\\" in token):
            return token
        if way == "block":
            return f" {{{{#if yes}}}}{token}{{{{/if}}}} "
        values[name] = token
        if way == "bare":
            return f" {{{{{{{name}}}}}}} "
        if token[0] != '"':
            return f" {{{{{name}}}}} "
        values[name] = token[1:-1]
        return f'"{{{{{name}}}}}"'

    source = TOKEN.sub(as_tag, json.dumps(content))
    rendered = ENGINE.compile(source, escaping="json").render({**values, "yes": True})
    assert json.loads(rendered) == content
    assert told(source) == []
