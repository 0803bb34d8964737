"""What is wrong with a template whatever it is rendered with."""

from __future__ import annotations

import json

import pytest

from carillon.handlebars import Engine, TemplateError, TemplateSyntaxError
from tests.handlebars.test_conformance import ARGUMENTS, GROUPS, IN_USE, outcome

ENGINE = Engine()


def told(source: str) -> list[tuple[int, str]]:
    return [(fault.column, fault.message) for fault in ENGINE.faults(source)]


@pytest.mark.parametrize(
    ("source", "column", "said"),
    [
        ("{{upercase user.name}}", 3, "no helper `upercase`; did you mean `uppercase`"),
        ("{{price amount=5}}", 3, "no helper `price`"),
        ("{{uppercase (nam user)}}", 14, "no helper `nam`"),
        ("{{#if (equals a b)}}{{/if}}", 8, "no helper `equals`"),
        ("{{#frech user}}{{/frech}}", 4, "no helper `frech`"),
        ("{{user.name 5}}", 3, "no helper `user.name`"),
        ("{{#if false}}{{never x}}{{/if}}", 16, "no helper `never`"),
        ("a {{random}}", 5, "`random` is not offered: "),
        ("{{#if a}}{{random}}{{/if}}", 12, "`random` is not offered: "),
        ("{{#each l}}{{md 'a.md'}}{{/each}}", 14, "`md` is not offered: "),
        ("{{> footer}}", 5, "no partial `footer`"),
        ("{{#*inline 'foot'}}x{{/inline}}{{> foots}}", 36, "`foots`; did you mean `foot`?"),
        ("{{#if a}}{{#*inline 'p'}}{{/inline}}{{/if}}{{> p}}", 48, "defined in another block"),
        ("{{#*inline 'a'}}{{> b}}{{/inline}}{{> a}}", 21, "no partial `b`"),
        ("{{> @partial-block}}", 5, "no partial `@partial-block`"),
        ("{{dateFormat d tz='Europe/Roma'}}", 19, "`Europe/Roma`; did you mean `Europe/Rome`"),
        ("{{#each l}}{{dateFormat this tz='CEST'}}{{/each}}", 33, "no time zone `CEST`"),
        ("{{uppercase (dateFormat d tz='Nowhere')}}", 30, "no time zone `Nowhere`"),
        ("{{toLocale n 'no locale'}}", 3, "`no locale` is no language tag"),
        ("{{compare a '<>' b}}", 3, "`<>` is no operator"),
        ("{{#compare a '=' b}}{{/compare}}", 4, "`=` is no operator"),
        ("{{test s (toRegex '(?=a)')}}", 11, "linear time"),
        ("{{#if a b}}{{/if}}", 4, "takes exactly one argument, not 2"),
        ("{{if a}}", 3, "it is a block"),
        ("{{lookup a 'b' 'c'}}", 3, "an object and a name, not 3"),
        ("{{#noop a}}{{/noop}}", 4, "it takes fewer arguments"),
        ("{{#withFirst list 1 2}}{{/withFirst}}", 4, "it takes fewer arguments"),
        ("{{eachIndex list}}", 3, "it needs a block"),
    ],
)
def test_what_can_only_fail_is_told_with_its_place(source: str, column: int, said: str) -> None:
    [(found, message)] = told(source)
    assert (found, said in message) == (column, True), message


@pytest.mark.parametrize(
    "source",
    [
        "{{name}} {{user.name}} {{#section}}{{/section}}",
        "{{#each data.items}}{{random}}{{/each}}",  # an item may have a field of that name
        "{{dateFormat d tz=user.zone format=data.format}}",
        "{{toLocale n user.locale}}",
        "{{#each l as |price|}}{{price.net}} {{price}}{{/each}}",
        "{{#*inline 'p'}}{{#if a}}{{> p}}{{/if}}{{/inline}}{{#if a}}{{> p}}{{/if}}",
        "{{#> unknown}}shown in its place{{/unknown}}",
        "{{#*inline 'l'}}{{> @partial-block}}{{/inline}}{{#> l}}x{{/l}}",
        "{{#*inline 'l'}}{{> a}}{{/inline}}{{#with b}}{{#*inline 'a'}}{{/inline}}{{> l}}{{/with}}",
        "{{> (lookup this 'kind')}}",
        "{{#*inline (lookup this 'kind')}}x{{/inline}}{{> anything}}",
        "{{plus a b}} {{phoneNumber a}} {{thumbnailImage a}} {{#forEach a}}x{{/forEach}}",
        "{{i18n 'hello'}} {{#markdown}}{{a}}{{/markdown}}",
    ],
)
def test_what_may_go_well_is_not_told(source: str) -> None:
    assert told(source) == []


def test_all_that_is_wrong_is_told_in_order() -> None:
    source = "{{> a}}\n{{b 1}} {{c 2}}\n{{dateFormat d tz='x'}}"
    found = [(fault.line, fault.column) for fault in ENGINE.faults(source)]
    assert found == [(1, 5), (2, 3), (2, 11), (3, 19)]


@pytest.mark.slow
def test_no_recorded_template_that_shows_something_is_found_at_fault() -> None:
    cases = [case for group in GROUPS.values() for case in group] + IN_USE
    alarms, found = [], 0
    for case in [*cases, *map(json.loads, ARGUMENTS)]:
        try:
            faults = ENGINE.faults(str(case["template"]))
        except TemplateSyntaxError:
            continue
        found += bool(faults)
        if faults and outcome(ENGINE, case):
            alarms.append(case["template"])
    assert alarms == []
    assert found > 150


@pytest.mark.slow
def test_a_call_is_not_tried_without_end() -> None:
    source = "".join(f"{{{{compare a 'no{n}' b}}}}" for n in range(2000))
    faults: list[TemplateError] = ENGINE.faults(source)
    assert 0 < len(faults) < 2000
