"""The engine's own behaviour: escaping, helpers, the cache, safety of look-ups."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

import pytest

from carillon.handlebars import (
    UNDEFINED,
    Engine,
    Invocation,
    SafeText,
    TemplateError,
    standard_helpers,
)


def render(source: str, context: Mapping[str, object], engine: Engine | None = None) -> str:
    return (engine or Engine()).compile(source).render(context)


def test_html_escapes_the_seven_characters() -> None:
    text = "&<>\"'`="
    assert render("{{x}}", {"x": text}) == "&amp;&lt;&gt;&quot;&#x27;&#x60;&#x3D;"
    assert render("{{{x}}}{{&x}}", {"x": text}) == text * 2


def test_without_html_nothing_is_escaped() -> None:
    template = Engine().compile("{{x}} {{#if x}}{{x}}{{/if}}", escaping="none")
    assert template.render({"x": "Fish & Chips"}) == "Fish & Chips Fish & Chips"


def test_what_a_helper_returns_is_escaped_unless_it_is_safe() -> None:
    engine = Engine(
        {"bold": lambda _call, text: f"<b>{text}", "safe": lambda _call: SafeText("<i>")}
    )
    assert render("{{bold x}}{{safe}}{{{bold x}}}", {"x": "y"}, engine) == "&lt;b&gt;y<i><b>y"


def test_helper_results_keep_their_type() -> None:
    engine = Engine({"eq": lambda _call, a, b: a == b, "add": lambda _call, a, b: a + b})
    assert render("{{#if (eq a 1)}}yes{{else}}no{{/if}}", {"a": 2}, engine) == "no"
    assert render("{{add 1 (add 2 3)}}", {}, engine) == "6"


def test_a_block_helper_renders_its_bodies() -> None:
    def twice(call: Invocation, items: list[object]) -> str:
        if not items:
            return call.inverse(call.this)
        first = call.fn(items[0], call.frame(index="first"), (items[0],))
        return first + call.fn(items[-1], call.frame(index=call.hash["last"]))

    source = '{{#twice xs last="end"}}[{{n}} {{@index}} {{../t}}]{{else}}none {{t}}{{/twice}}'
    engine = Engine({"twice": twice})
    assert render(source, {"t": "T", "xs": [{"n": 1}, {"n": 2}]}, engine) == "[1 first T][2 end T]"
    assert render(source, {"t": "T", "xs": []}, engine) == "none T"


def test_a_helper_wins_over_a_field_of_its_name_unless_the_path_says_otherwise() -> None:
    engine = Engine({"first": lambda _call: "helper"})
    context = {"first": "field"}
    assert render("{{first}} {{this.first}} {{#if first}}{{./first}}{{/if}}", context, engine) == (
        "helper field field"
    )
    assert render("{{#each xs}}{{@first}}{{/each}}", {"xs": [1]}, engine) == "helper"


def test_a_built_in_can_be_replaced() -> None:
    engine = Engine({"if": lambda call, _value: call.inverse(call.this)})
    assert render("{{#if a}}yes{{else}}no{{/if}}", {"a": True}, engine) == "no"


@pytest.mark.parametrize(
    "path",
    [
        "user.__class__",
        "user.keys",
        "user.get",
        "name.upper",
        "name.format",
        "list.append",
        "when.year",
        "number.real",
        "constructor",
        "lookup user '__class__'",
    ],
)
def test_look_up_never_touches_an_attribute(path: str) -> None:
    context = {"user": {}, "name": "x", "list": [], "when": datetime.now(UTC), "number": 1}
    assert render(f"[{{{{{path}}}}}]", context) == "[]"


def test_missing_and_null_show_nothing_and_are_told_apart() -> None:
    engine = Engine({"what": lambda _call, x: "missing" if x is UNDEFINED else str(x)})
    assert render("[{{a}}{{b}}]", {"a": None}) == "[]"
    assert render("{{what a}} {{what b}} {{what a.c}}", {"a": None}, engine) == "None missing None"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.0, "1"),
        (-0.0, "0"),
        (1e21, "1e+21"),
        (1e-7, "1e-7"),
        (0.000001, "0.000001"),
        (2**53 + 1, "9007199254740992"),
        (12345678901234567890, "12345678901234567000"),
        (10**400, "Infinity"),
        (float("nan"), "NaN"),
        (True, "true"),
        (123.456, "123.456"),
        (5e-324, "5e-324"),
        (1.5e300, "1.5e+300"),
        ([1, [None, "a"], {}], "1,,a,[object Object]"),
        (
            datetime(2024, 2, 3, 4, 5, 6, tzinfo=UTC),
            "Sat Feb 03 2024 04:05:06 GMT+0000 (Coordinated Universal Time)",
        ),
    ],
)
def test_values_are_written_as_javascript_writes_them(value: object, text: str) -> None:
    assert render("{{{x}}}", {"x": value}) == text


def test_keys_come_in_the_order_of_javascript() -> None:
    context = {"o": {"b": 1, "10": 2, "a": 3, "2": 4, "01": 5}}
    assert render("{{#each o}}{{@key}} {{/each}}", context) == "2 10 b a 01 "


def test_length_counts_utf16_units() -> None:
    assert render("{{x.length}} {{list.length}}", {"x": "a🎉", "list": [1, 2]}) == "3 2"


def test_halves_of_a_pair_join_and_lone_ones_become_question_marks() -> None:
    assert render("{{x.[0]}}{{x.[1]}}{{x.[0]}}", {"x": "🎉"}) == "🎉\ufffd"


def test_any_mapping_serves_as_the_context() -> None:
    assert render("{{a}}", MappingProxyType({"a": 1})) == "1"


def test_the_context_is_left_as_it_was() -> None:
    context = {"xs": [{"a": 1}], "o": {"k": "v"}}
    source = (
        '{{#*inline "p"}}{{a}}{{/inline}}{{#each xs}}{{> p b=2}}{{/each}}{{#with o}}{{k}}{{/with}}'
    )
    assert render(source, context) == "1v"
    assert context == {"xs": [{"a": 1}], "o": {"k": "v"}}


def test_compiled_templates_are_kept_by_text_and_kind() -> None:
    engine = Engine(cache_size=2)
    first = engine.compile("{{a}}")
    assert engine.compile("{{a}}") is first
    assert engine.compile("{{a}}", escaping="none") is not first
    engine.compile("{{a}}")
    engine.compile("{{b}}")
    assert engine.compile("{{a}}") is first
    engine.compile("{{c}}")
    engine.compile("{{d}}")
    assert engine.compile("{{a}}") is not first


@pytest.mark.slow
def test_few_templates_that_are_large_once_compiled_are_kept() -> None:
    engine = Engine()
    text, tags = "a" * 200_000, "{{user.name}}" * 7_000
    first, second = engine.compile(text), engine.compile(tags)
    assert first.weight < 10_000_000 < second.weight
    assert engine.find(tags) is second
    engine.compile("b" + tags)
    assert engine.find(tags) is None  # with both it would be more than 16 MB
    for letter in "cdefgh":
        engine.compile(letter + text)
    assert engine.find("c" + text) is not None


@pytest.mark.parametrize(
    "source",
    [
        "{{#markdown}}{{../x}}{{/markdown}}",
        "{{#markdown x}}{{/markdown}}",
        "{{#uppercase}}{{x}}{{/uppercase}}",
        "{{#upcase}}{{x}}{{/upcase}}",
        "{{#downcase x}}{{/downcase}}",
        "{{#if x}}{{#lowercase}}{{#if x}}{{{x}}}{{/if}}{{/lowercase}}{{x}}{{/if}}",
        "{{#ul list class=x}}{{this}}{{/ul}}",
        "{{#ol list}}{{this}}{{/ol}}",
    ],
)
def test_no_block_takes_a_value_out_of_its_json_string(source: str) -> None:
    crafted = 'Ev"il\\","click_action":"x\n'
    template = Engine().compile(f'{{"a": "{source}"}}', escaping="json")
    text = template.render({"x": crafted, "list": [crafted]})
    assert list(json.loads(text)) == ["a"]


ARGUMENTS = ("", "x", "x x", "x x x", "x x x x", "list", "list x", "list 0", "x list", "object",
             '"x" object', "x object", "object x", "list x x", "list 1 x", '"x" @root', "5 x",
             "x a=x", "a=x", "list property=x")  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("arguments", ARGUMENTS)
@pytest.mark.parametrize("body", ["{{x}}", "{{this}}{{@key}}", "a{{else}}{{x}}"])
def test_no_helper_as_a_block_takes_a_value_out_of_its_json_string(
    arguments: str, body: str
) -> None:
    crafted = 'Ev"il\\","click_action":"x\n'
    context = {"x": crafted, "list": [crafted], "object": {"x": crafted, crafted: crafted}}
    engine, refused, rendered = Engine(), 0, 0
    for name in standard_helpers():
        source = f'{{"a": "{{{{#{name} {arguments}}}}}{body}{{{{/{name}}}}}"}}'
        try:
            text = engine.compile(source, escaping="json").render(context)
        except TemplateError:
            refused += 1
            continue
        assert list(json.loads(text)) == ["a"], (name, text)
        rendered += 1
    assert rendered > refused / 4
