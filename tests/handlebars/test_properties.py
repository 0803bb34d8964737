"""What holds for every template and context, tried with made-up ones."""

from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carillon.handlebars import Engine, Escaping, Limits, TemplateError, standard_helpers
from tests.properties import examples

LIMITS = Limits(steps=2_000, output_bytes=100_000)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=5)
    | st.datetimes(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc012"), inner, max_size=3)
    ),
    max_leaves=8,
)
HELPERS = sorted(set(standard_helpers()) - {"dateNow"})
#: Each helper once with values and once as a block: what is wrong with most is wrong with all.
CALLS = [
    *(f"{{{{{name} a b}}}}{{{{{{{name} (lookup a 'c') 2}}}}}}" for name in HELPERS),
    *(f"{{{{#{name} a}}}}{{{{this}}}}{{{{else}}}}{{{{/{name}}}}}" for name in HELPERS),
]
PIECES = st.sampled_from(
    [
        "{{a}}",
        "{{{b.c}}}",
        "{{#each a}}",
        "{{/each}}",
        "{{#if b}}",
        "{{else}}",
        "{{/if}}",
        "{{#with a as |x|}}",
        "{{x.a}}",
        "{{/with}}",
        "{{else if c}}",
        "{{^a}}",
        "{{/a}}",
        "{{#a}}",
        '{{#*inline "p"}}',
        "{{/inline}}",
        "{{> p}}",
        "{{> p b a=1}}",
        "{{#> p}}",
        "{{/p}}",
        "{{> @partial-block}}",
        "{{lookup a (lookup b 'c')}}",
        "{{../a}}",
        "{{@key}}",
        "{{@root.a}}",
        "{{~a~}}",
        "{{! x }}",
        "{{!-- }} --}}",
        "\\{{",
        "\\\\{{",
        "{{{{a}}}}",
        "{{{{/a}}}}",
        "\n",
        "  ",
        "text",
        "{{",
        "}}",
        '"',
        "[",
        "]",
        "(",
        ")",
        "|",
        "=",
        "~",
        "\0",
        "\ud83d",
        "{{a.[0].length}}",
        "{{#unless this includeZero=true}}",
        "{{/unless}}",
        "{{log a}}",
        "{{nope a}}",
        "{{nope x=1}}",
    ]
)
TEMPLATES = st.lists(PIECES | st.sampled_from(CALLS) | st.text(max_size=3), max_size=12).map(
    "".join
)


@pytest.mark.slow
@settings(max_examples=examples(250))
@given(
    TEMPLATES,
    st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3),
    st.sampled_from(get_args(Escaping)),
)
def test_no_input_raises_anything_but_a_template_error(
    source: str, context: dict[str, object], escaping: Escaping
) -> None:
    try:
        template = Engine(limits=LIMITS).compile(source, escaping=escaping)
        assert isinstance(template.paths, frozenset)
        template.render(context).encode()
    except TemplateError as error:
        place = f"line {error.line}, column {error.column}: {error.message}"
        if not str(error).startswith(place):
            raise AssertionError(str(error)) from error


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_without_mustaches_comes_out_unchanged(text: str) -> None:
    plain = text.replace("{{", "{ {")
    assert Engine().compile(plain).render({}) == plain


@pytest.mark.slow
@given(
    st.sampled_from(["user", "data"]), st.dictionaries(st.sampled_from("abc"), VALUES), TEMPLATES
)
def test_what_a_template_does_not_mention_does_not_change_its_text(
    name: str, value: dict[str, object], source: str
) -> None:
    def outcome(context: dict[str, object]) -> str:
        try:
            return Engine(limits=LIMITS).compile(source).render(context)
        except TemplateError as error:
            return str(error)

    try:
        mentioned = Engine(limits=LIMITS).compile(source).mentions(name)
    except TemplateError:
        return
    context: dict[str, object] = {"a": {"b": 1}, "b": [1, {"c": "x"}], "c": True}
    if not mentioned:
        assert outcome(context) == outcome(context | {name: value})
