"""Hostile templates end in an error of their own, soon and without much memory."""

import tracemalloc

import pytest

from carillon.handlebars import (
    Engine,
    Limits,
    NestingTooDeep,
    OutputTooLarge,
    PartialTooDeep,
    TemplateError,
    TemplateSyntaxError,
    TemplateTooLarge,
    TooManySteps,
    UnknownHelper,
)
from tests.timing import quickest

CONTEXT: dict[str, object] = {
    "user": {"name": "x"},
    "data": {"list": list(range(1000)), "wide": "é" * 1_000_000, "html": "<" * 200_000},
}
PARTIALS_IN_PARTIALS = (
    "".join(f'{{{{#*inline "p{n}"}}}}{f"{{{{> p{n + 1}}}}}" * 10}{{{{/inline}}}}' for n in range(9))
    + '{{#*inline "p9"}}x{{/inline}}{{> p0}}'
)
EACH = "{{#each @root.data.list}}"

NO_HURRY = Limits(milliseconds=60_000)  # steps come to their end first
HOSTILE: dict[str, tuple[str, type[TemplateError]]] = {
    "1,000 nested ifs": ("{{#if user}}" * 1000 + "{{/if}}" * 1000, NestingTooDeep),
    "2,000 nested ifs": ("{{#if user}}" * 2000 + "{{/if}}" * 2000, NestingTooDeep),
    "10,000 nested ifs": ("{{#if user}}" * 10_000 + "{{/if}}" * 10_000, NestingTooDeep),
    "10,000 else ifs": ("{{#if a}}" + "{{else if a}}" * 10_000 + "{{/if}}", NestingTooDeep),
    "5,000 parentheses": ("{{lookup " + "(lookup " * 5000 + "a b)" * 5000 + " c}}", NestingTooDeep),
    "2,000 else ifs": ("{{#if a}}" + "{{else if a}}" * 2000 + "{{/if}}", NestingTooDeep),
    "2,000 parentheses": ("{{lookup " + "(lookup " * 2000 + "a b)" * 2000 + " c}}", NestingTooDeep),
    "20,000 fields": ("{{a}}" * 20_000, TemplateTooLarge),
    "20,000 arguments": ("{{add " + "1 " * 20_000 + "}}", TemplateTooLarge),
    "1 MB of tags": ("{{user.name}} and some more text" * 34_000, TemplateTooLarge),
    "braces": ("{{" * 131_000, TemplateSyntaxError),
    "braces and spaces": ("{{" + " " * 262_000, TemplateSyntaxError),
    "braces and backslashes": ("{{" + "\\" * 262_000, TemplateSyntaxError),
    "an unclosed string": ('{{a "' + "x" * 262_000, TemplateSyntaxError),
    "an unclosed string of quotes": ('{{a "' + '\\"' * 131_000, TemplateSyntaxError),
    "an unclosed bracket": ("{{[" + "\\]" * 131_000, TemplateSyntaxError),
    "each in each": (EACH * 2 + "x" + "{{/each}}" * 2, TooManySteps),
    "each in each in each": (EACH * 3 + "x" + "{{/each}}" * 3, TooManySteps),
    "each in each of nothing": (EACH * 2 + "{{/each}}" * 2, TooManySteps),
    "10 partials in 10 deep": (PARTIALS_IN_PARTIALS, TooManySteps),
    "a partial that calls itself": (
        '{{#*inline "p"}}{{> p}}{{/inline}}{{> p}}',
        PartialTooDeep,
    ),
    "a partial that calls itself in many blocks": (
        '{{#*inline "p"}}'
        + "{{#if user}}" * 150
        + "{{> p}}"
        + "{{/if}}" * 150
        + "{{/inline}}{{> p}}",
        PartialTooDeep,
    ),
    "inline partials in a loop": (
        EACH + '{{#*inline "p"}}{{/inline}}' * 5000 + "{{/each}}",
        TooManySteps,
    ),
    "lengths of a long text": ("{{data.wide.length}}" * 13_000, TooManySteps),
    "a long text many times": ("{{data.wide}}" * 20_000, OutputTooLarge),
    "a long text escaped": ("{{data.html}}" * 18_000, OutputTooLarge),
    "a list as text many times": ("{{data.list}}" * 20_000, TooManySteps),
    "a deep indent of many lines": (
        '{{#*inline "p"}}' + "\n" * 50_000 + "{{/inline}}\n" + " " * 100_000 + "{{> p}}\n",
        OutputTooLarge,
    ),
    "a long name": ("{{" + "b" * 200_000 + " 1}}", UnknownHelper),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_templates_end_soon_in_an_error(name: str) -> None:
    source, expected = HOSTILE[name]

    def run() -> None:
        with pytest.raises(expected):
            Engine(limits=NO_HURRY).compile(source).render(CONTEXT)

    assert quickest(run, 0.5) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", ["an unclosed string", "a long text escaped", "1 MB of tags"])
def test_hostile_templates_take_little_memory(name: str) -> None:
    source, expected = HOSTILE[name]
    tracemalloc.start()
    try:
        with pytest.raises(expected):
            Engine(limits=NO_HURRY).compile(source).render(CONTEXT)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def test_nesting_up_to_the_limit_renders() -> None:
    source = "{{#if user}}" * 200 + "x" + "{{/if}}" * 200
    assert Engine().compile(source).render(CONTEXT) == "x"


def test_each_limit_can_be_set() -> None:
    def render(source: str, limits: Limits) -> str:
        return Engine(limits=limits).compile(source).render(CONTEXT)

    with pytest.raises(TemplateTooLarge):
        render("éé", Limits(template_bytes=3))
    with pytest.raises(NestingTooDeep):
        render("{{#if a}}{{#if a}}{{/if}}{{/if}}", Limits(nesting=1))
    with pytest.raises(TooManySteps):
        render("{{#each data.list}}x{{/each}}", Limits(steps=999))
    with pytest.raises(OutputTooLarge):
        render("éé", Limits(output_bytes=3))
    with pytest.raises(PartialTooDeep):
        render(
            '{{#*inline "a"}}{{> b}}{{/inline}}{{#*inline "b"}}{{/inline}}{{> a}}',
            Limits(partial_depth=1),
        )


def test_output_within_the_limit_is_not_counted_twice() -> None:
    source = "{{#each data.list}}{{#if true}}{{#with this}}{{this}}{{/with}}{{/if}}{{/each}}"
    size = sum(len(str(number)) for number in range(1000))
    text = Engine(limits=Limits(output_bytes=size)).compile(source).render(CONTEXT | {"true": 1})
    assert len(text) == size


def test_text_that_a_helper_throws_away_does_not_count() -> None:
    engine = Engine({"hide": lambda call: call.fn(call.this) and ""}, Limits(output_bytes=20))
    assert engine.compile("{{#hide}}fifteen letters{{/hide}}" * 3).render({}) == ""
