"""What the recorded cases of the helpers leave open: shared data, odd arguments, errors."""

import json
from typing import Any

import pytest

from carillon.handlebars import Engine, HelperFailed, TemplateError, UnknownHelper
from carillon.handlebars.helpers import standard_helpers
from carillon.handlebars.helpers.misc import LEFT_OUT

CONTEXT: dict[str, Any] = {
    "data": {
        "list": ["b", "C", "a"],
        "numbers": [10, 9, 1],
        "items": [{"name": "Pen", "price": 2}, {"name": "Ink", "price": 9}],
        "object": {"a": 1},
        "emoji": "a🎉b",
        "text": "foo bar",
    },
    "user": {"name": "x", "tags": ["z", "y"]},
}


def render(source: str, context: dict[str, object] | None = None) -> str:
    return Engine().compile(source).render(CONTEXT if context is None else context)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{sort data.list}} {{data.list}}", "C,a,b C,a,b"),
        ("{{#with data}}{{sort list}}{{/with}}{{data.list}}", "C,a,bC,a,b"),
        (
            "{{#each @root.data.items}}{{merge this k=1}}{{/each}}{{data.items.[0].k}}",
            "[object Object][object Object]1",
        ),
        ("{{#withSort data.numbers}}{{this}} {{/withSort}}{{data.numbers}}", "1 10 9 1,10,9"),
        ("{{#forEach data.items}}{{total}}{{/forEach}}{{data.items.[1].index}}", "222"),
        ('{{#*inline "p"}}{{sort tags}}{{/inline}}{{> p user k=1}}{{user.tags}}', "y,zy,z"),
        ("{{sort (lookup data 'list')}}{{data.list}}", "C,a,bC,a,b"),
        ("{{sort (get 'data.list' this)}}{{data.list}}", "C,a,bC,a,b"),
    ],
)
def test_helpers_that_change_the_context_change_it_for_what_follows_alone(
    source: str, text: str
) -> None:
    before = json.dumps(CONTEXT)
    assert render(source) == text
    assert json.dumps(CONTEXT) == before


def test_what_a_template_does_not_read_is_not_copied() -> None:
    class Untouchable(dict[str, object]):
        def copy(self) -> "Untouchable":
            raise AssertionError

    context = {"data": {"list": ["b", "a"], "large": Untouchable()}, "user": Untouchable()}
    assert render("{{sort data.list}}", context) == "a,b"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{length data.emoji}} {{truncate data.emoji 3}}", "4 a🎉"),
        ("{{reverse 'ab'}} {{first data.emoji}}", "ba a"),
        ("{{eq (last data.emoji 3) '🎉b'}}", "true"),
        ("{{toFixed 2.5}} {{toFixed -2.5}} {{toFixed 1.005 2}} {{round -2.5}}", "3 -3 1.00 -2"),
        ("{{divide 1 0}} {{modulo -7 3}} {{add '1' 2}}", "Infinity -1 3"),
        ("{{append data.text}} {{replace data.text 'o'}}", "foo bar f bar"),
        ("{{#eq 1 1 2}}x{{/eq}}", "true"),
        ("{{#is 1 '1'}}x{{else}}y{{/is}}", "x"),
        ("{{and}} {{or}} {{default}}", "true false "),
        ("{{get 'constructor' user}}{{get '__class__' user}}", ""),
        ("{{has user 'constructor'}} {{hasOwn user 'get'}}", "false false"),
        ("{{#with (urlParse 'http://a:b@c.d:1/e?f')}}{{auth}} {{host}}{{/with}}", "a:b c.d:1"),
        ("{{urlResolve 'http://a.b/c' '//x/y'}}", "http://x/y"),
        ("{{urlResolve 'mailto:a@b' 'c'}}", "mailto:a@c"),
    ],
)  # fmt: skip
def test_values_are_those_of_javascript(source: str, text: str) -> None:
    assert render(source) == text


def test_a_helper_that_is_not_offered_says_why() -> None:
    for name in LEFT_OUT:
        with pytest.raises(UnknownHelper, match=f"the helper `{name}` is not offered: "):
            render(f"{{{{{name} 'x'}}}}")
    with pytest.raises(UnknownHelper, match="it reads files of the server"):
        render("{{read file='x'}}")
    assert not set(LEFT_OUT) & set(standard_helpers())


def test_an_unknown_helper_names_those_that_are_near() -> None:
    with pytest.raises(UnknownHelper, match="did you mean `capitalize`"):
        render("{{capitalise user.name}}")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{round user.name}}", "it takes numbers|a number"),
        ("{{compare 1 '<>' 2}}", "`<>` is no operator"),
        ("{{dateFormat 0 tz='Europe/Roma'}}", "there is no time zone `Europe/Roma`"),
        ("{{toLocale 1 'it_IT'}}", "`it_IT` is no language tag"),
        ("{{test 'a' (toRegex '(?=a)')}}", "can't be searched for in linear time"),
        ("{{test 'a' (toRegex '(a)\\1')}}", "can't be searched for in linear time"),
        ("{{JSONparse '{'}}", "Expecting"),
        ("{{toFixed 1 101}}", "between 0 and 100"),
        ("{{i18n 'a'}}", "no language is given: pass"),
        ("{{occurrences 'aa' ''}}", "a text that is not empty"),
    ],
)
def test_a_helper_that_fails_says_why(source: str, reason: str) -> None:
    with pytest.raises(HelperFailed, match=reason):
        render(source)


def test_helpers_of_ones_own_come_on_top() -> None:
    assert Engine({"uppercase": lambda _call, _text: "mine"}).compile("{{uppercase 'a'}}").render(
        {}
    ) == "mine"  # fmt: skip


ODD = ("data.list", "data.items", "user", "user.nope", "null", "-1", "'x'", "true", "data.emoji")


@pytest.mark.parametrize("name", sorted(standard_helpers()))
def test_odd_arguments_give_a_text_or_an_error(name: str) -> None:
    engine = Engine(cache_size=0)
    for count in range(4):
        for start in range(0, len(ODD), 3):
            call = " ".join([name, *(ODD + ODD)[start : start + count]])
            for source in (f"{{{{{call}}}}}", f"{{{{#{call}}}}}{{{{a}}}}{{{{/{name}}}}}"):
                try:
                    assert isinstance(engine.compile(source).render(CONTEXT), str)
                except TemplateError:
                    continue


@pytest.mark.parametrize(
    ("template", "text"),
    [
        (r'{{test t (toRegex "^[\s\S]+$")}}', "true"),
        (r'{{test "a b" (toRegex "^[^\s]+$")}} {{test "ab" (toRegex "^[\Sx]+$")}}', "false true"),
        (r'{{test " " (toRegex "[\S]")}} {{test " " (toRegex "[^\S]")}}', "false true"),
        (r'{{toRegex "a/b"}} {{toRegex "[/]/"}} {{toRegex "a\/b"}}', r"/a\/b/ /[/]\// /a\/b/"),
        ('{{{css "a.css"}}}', '<link type="text/css" rel="stylesheet" href="a.css">'),
        ('{{{css href="x.less"}}}', '<link type="text/css" rel="stylesheet/less" href="x.less">'),
        ("{{{css}}}{{{js}}}", "<script></script>"),
        ('{{{js src="x.js"}}}', '<script src="x.js"></script>'),
        ('{{relative "a/b/c" "a/d"}}', "../../d"),
        ('{{relative "/a/b" "/a/b/c"}} {{relative "a" "a"}}', "c ."),
        ('{{relative "a/b.html" "a/c.css"}}', "c.css"),
        ("{{isEmpty list 1}}", "true"),
    ],
)  # fmt: skip
def test_helpers_that_templates_in_use_call(template: str, text: str) -> None:
    assert Engine().compile(template).render({"t": "a\nb", "list": [1]}) == text
