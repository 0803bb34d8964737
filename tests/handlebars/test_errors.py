"""What a person is told when a template is wrong, and where."""

import pytest

from carillon.handlebars import (
    Engine,
    HelperFailed,
    Invocation,
    TemplateSyntaxError,
    UnknownHelper,
    UnknownPartial,
)


def syntax_error(source: str) -> TemplateSyntaxError:
    with pytest.raises(TemplateSyntaxError) as caught:
        Engine().compile(source)
    return caught.value


def test_an_error_shows_line_column_and_caret() -> None:
    error = syntax_error("Dear customer,\n\nyour order:  {{#if data.paid}} is paid")
    assert str(error) == (
        "line 3, column 14: `{{#if}}` is never closed\n"
        "your order:  {{#if data.paid}} is paid\n"
        "             ^"
    )
    assert (error.line, error.column) == (3, 14)


def test_the_caret_stands_right_below_tabs() -> None:
    assert syntax_error("\t\tx {{/if}}").excerpt == "\t\tx {{/if}}\n\t\t  ^"


def test_a_long_line_is_cut_around_the_caret() -> None:
    error = syntax_error("x" * 5000 + "{{/if}}" + "y" * 5000)
    line, caret = error.excerpt.split("\n")
    assert len(line) < 100
    assert line[len(caret) - 1 :].startswith("{{/if}}")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{#each a}}\n{{#if b}}x{{/each}}", "`{{/each}}` closes `{{#if}}` of line 2"),
        ("{{/if}}", "`{{/if}}` closes nothing"),
        ("a{{else}}b", "`{{else}}` stands outside of a block"),
        ("{{#if a}}{{else}}{{else}}{{/if}}", "`{{#if}}` has an `{{else}}` already"),
        ("{{user.name", "`{{user.name` opens a tag that never closes"),
        ('{{a "b}}', 'the text that " begins never ends'),
        ("{{! note", "this comment never ends"),
        ("{{}}", "something is missing before `}}`"),
        ("{{{a}}", "`}}` does not close `{{{`"),
        ("{{lookup (lookup a 1 2}}", "`(` is never closed"),
        ("{{a.0}}", "a number in a path stands in brackets: `[0]`"),
        ("{{a.this}}", "`this` can only stand at the start of a path"),
        ("{{a + 1}}", "`+` can't stand in a tag"),
        ("{{a b=1 c}}", "`c` must stand before the first `key=value`"),
        ("{{#> p}}{{else}}{{/p}}", "a partial block has no `{{else}}`"),
        ("{{> p a b}}", "a partial takes one context at most"),
        ("{{{{raw}}}} x", "`{{{{raw}}}}` is never closed"),
        ("{{#*foo}}{{/foo}}", '`foo` is no decorator: there is `{{#*inline "name"}}` alone'),
    ],
)
def test_syntax_errors_say_what_to_mend(source: str, message: str) -> None:
    assert syntax_error(source).message == message


def test_an_unknown_helper_names_those_that_were_perhaps_meant() -> None:
    with pytest.raises(UnknownHelper) as caught:
        Engine({"salutation": lambda _call, text: text}).compile("\n {{saluttion name}}").render({})
    assert caught.value.message == "there is no helper `saluttion`; did you mean `salutation`?"
    assert (caught.value.line, caught.value.column) == (2, 4)


def test_an_unknown_partial_names_those_in_reach() -> None:
    source = '{{#*inline "header"}}{{/inline}}{{> heder}}'
    with pytest.raises(UnknownPartial, match="did you mean `header`"):
        Engine().compile(source).render({})


def test_a_failing_helper_is_named_with_its_reason() -> None:
    def half(_call: Invocation, text: str) -> float:
        return int(text) / 2

    with pytest.raises(HelperFailed, match="the helper `half` failed: invalid literal"):
        Engine({"half": half}).compile("{{half name}}").render({"name": "x"})
    with pytest.raises(HelperFailed, match=r"the helper `half` failed: .*argument"):
        Engine({"half": half}).compile("{{half}}").render({})


def test_a_built_in_block_called_wrongly_says_how_to_call_it() -> None:
    with pytest.raises(HelperFailed, match="it is a block"):
        Engine().compile("{{if a}}").render({"a": 1})
    with pytest.raises(HelperFailed, match="exactly one argument, not 2"):
        Engine().compile("{{#if a b}}{{/if}}").render({})


@pytest.mark.parametrize(
    "template", ["[{{random}}]", "{{#md}}x{{/md}}", "{{^readdir}}x{{/readdir}}"]
)
def test_a_bare_helper_that_is_not_offered_is_no_missing_value(template: str) -> None:
    with pytest.raises(UnknownHelper, match="is not offered: "):
        Engine().compile(template).render({})


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{{random}} {{this.read}}{{user.md}}", "5 "),
        ("{{#random}}{{this}}{{/random}}", "5"),
        ("{{#each list as |read|}}{{read}}{{/each}}", "1"),
        ("{{random}}", "5"),
    ],
)
def test_a_field_with_the_name_of_one_is_shown(template: str, text: str) -> None:
    assert Engine().compile(template).render({"random": 5, "list": [1]}) == text
