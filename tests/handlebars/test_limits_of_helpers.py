"""Helpers keep to the limits too: what makes much out of little, or takes long, ends soon."""

import re
import time
import tracemalloc
from typing import Any

import pytest

from carillon.handlebars import (
    Engine,
    HelperFailed,
    Limits,
    OutputTooLarge,
    TemplateError,
    TooManySteps,
)
from tests.timing import quickest

ITEMS = [{"n": index % 7, "m": {"k": "v"}} for index in range(1000)]
NO_HURRY = Limits(milliseconds=60_000)  # steps come to their end first
CONTEXT: dict[str, Any] = {
    "user": {"name": "x", "s": "a" * 28 + "!"},
    "list": list(range(1000)),
    "texts": ["ab c-d"] * 1000,
    "objs": ITEMS,
    "wide": "é" * 1_000_000,
    "long": "Foo bar-baz. " * 80_000,
    "html": "<b>x" * 200_000,
    "json": "[" + "[]," * 200_000 + "1]",
    "deep": "[" * 100_000,
    "lists": [[1] * 1000] * 1000,
    "d": "2023-10-15T09:30:00Z",
    "f": 1234567.891,
}
#: Calls that are cheap for a template to write, and each of which is dear in its own way.
CALLS = [
    'center "x" 1000000000',
    'split long " "',
    "join list wide",
    'join texts "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"',
    "toPrecision f 100",
    "JSONstringify objs 10",
    "JSONparse json",
    "JSONparse deep",
    "sort texts",
    'sortBy objs "m.k"',
    "pick texts user",
    "camelcase long",
    "sanitize html",
    "encodeURI wide",
    "reverse wide",
    'replace long "o" long',
    "append wide wide",
    'dateFormat d tz="Europe/Rome" format="dddd DD MMMM YYYY HH:mm:ss ZZ"',
    "dateFormat d format=long",
    'toLocale list "hi-IN"',
    'urlParse "http://u:p@h.com/x?y#z"',
    'toRegex "((a{1,30}){1,30})"',
    'test long (toRegex "[a-q][^u-z]{13}x")',
    "contains list 5000",
    "get long user",
    "merge user user",
    'moment d "dddd D MMMM YYYY" lang="it"',
    "length (dateNow)",
    'markdown "# a"',
    "thumbnailImage (extend size=user)",
    "avg list",
    "inArray list true",
    "first list 900",
    "truncate user.s 9",
    "unique texts",
    'toPath "a" 1 "b"',
    'isMatch "a/b" "*/{a,b,c}"',
    "inflect f user.s user.name true",
]


def in_loops(call: str) -> str:
    """The call a million times, with its values found from the root."""
    names = "|".join(CONTEXT)
    rooted = re.sub(rf"(?<= )({names})\b(?=[ .)]|$)", r"@root.\1", call)
    return (
        f"{{{{#each list}}}}{{{{#each @root.list}}}}{{{{{{{rooted}}}}}}}{{{{/each}}}}{{{{/each}}}}"
    )


@pytest.mark.slow
@pytest.mark.parametrize("call", CALLS)
def test_a_million_calls_end_soon_in_an_error(call: str) -> None:
    template = Engine(limits=NO_HURRY).compile(in_loops(call))

    def run() -> None:
        with pytest.raises((TooManySteps, OutputTooLarge, HelperFailed)):
            template.render(CONTEXT)

    assert quickest(run, 0.5) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [
        "{{append wide wide}}" * 1000,
        "{{split wide 'é'}}" * 1000,
        "{{JSONparse json}}" * 1000,
        "{{JSONstringify lists 10}}",
        "".join(f"{{{{#with (append {name} {name}) as |{name}a|}}}}" for name in
                ("user.s", *("a" * count for count in range(1, 40)))),
    ],
)  # fmt: skip
def test_helpers_take_little_memory(source: str) -> None:
    source = source.replace("|user.sa|", "|a|").replace("append user.s user.s", "append long long")
    source += "{{/with}}" * source.count("{{#with")
    tracemalloc.start()
    try:
        with pytest.raises(TemplateError):
            Engine().compile(source).render(CONTEXT)
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


def test_no_pattern_takes_more_than_linear_time() -> None:
    start = time.process_time()
    template = Engine().compile('{{test s (toRegex "^(a+)+$")}}')
    assert template.render({"s": "a" * 28 + "!"}) == "false"
    assert template.render({"s": "a" * 100_000 + "!"}) == "false"
    assert time.process_time() - start < 0.5


def test_asking_for_ever_other_locales_takes_no_memory() -> None:
    template = Engine().compile("{{toLocale 1.5 tag}}")
    template.render({"tag": "it"})
    letters = "abcdefghijklmnopqrstuvwxyz"
    tracemalloc.start()
    try:
        for first in letters:
            for second in letters:
                template.render({"tag": f"{first}{second}-IT-x-{second}"})
        assert tracemalloc.get_traced_memory()[0] < 100_000
    finally:
        tracemalloc.stop()


def test_functions_of_objects_are_out_of_reach() -> None:
    assert (
        Engine().compile('[{{get "constructor" user}}{{get "keys" user}}]').render(CONTEXT) == "[]"
    )
