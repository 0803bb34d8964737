"""Which values a template may read."""

import pytest

from carillon.handlebars import Engine, Invocation, ReadsContext


def paths(source: str, engine: Engine | None = None) -> set[str]:
    found = (engine or Engine()).compile(source).paths
    return {".".join(path) or "*" for path in found}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("plain {{! user }} \\{{user}}", set()),
        ("{{user.name}}{{{data.x}}}", {"user.name", "data.x"}),
        (
            "{{#if data.a}}{{user.b}}{{else if data.c}}{{user.d}}{{/if}}",
            {"data.a", "user.b", "data.c", "user.d"},
        ),
        ("{{#with user}}{{name}}{{../data.x}}{{/with}}", {"user.name", "data.x"}),
        ("{{#with user}}x{{/with}}", {"user"}),
        ("{{#with user.home}}{{city}}{{/with}}", {"user.home"}),
        ("{{#with user as |u|}}{{u.name}}{{/with}}", {"user"}),
        (
            "{{#each data.items}}{{name}}{{@index}}{{../user.name}}{{/each}}",
            {"data.items", "user.name"},
        ),
        (
            "{{#each data.items as |item|}}{{item.x}}{{@root.user.y}}{{/each}}",
            {"data.items", "user.y"},
        ),
        ("{{#data}}{{x}}{{/data}}", {"data.x", "x"}),
        ("{{data.items.length}}{{data.items.[0].name}}", {"data.items"}),
        ("{{user}}{{user.name}}", {"user"}),
        ('{{lookup user "name"}}', {"user.name"}),
        ("{{lookup user data.key}}", {"user", "data.key"}),
        ("{{lookup this data.key}}", {"*", "data.key"}),
        ("{{this}}", {"*"}),
        ("{{#each this}}{{/each}}", {"*"}),
        ("{{> (lookup data 'p')}}", {"*"}),
        ('{{#*inline "p"}}{{name}}{{/inline}}{{> p user}}{{> p data}}', {"user.name", "data.name"}),
        ('{{> p user}}{{#*inline "p"}}{{name}}{{/inline}}', {"user.name"}),
        (
            '{{#*inline "p"}}{{> @partial-block data}}{{/inline}}{{#> p}}{{x}}{{/p}}',
            {"data.x", "x"},
        ),
        (
            '{{#*inline "p"}}{{a}}{{#with c}}{{> p}}{{/with}}{{/inline}}{{> p user}}',
            {"user.a", "user.c"},
        ),
        ("{{unknown user.name k=data.x}}", {"user.name", "data.x"}),
        ("{{@key}}{{@root.user.name}}", {"user.name"}),
        ("{{@root}}", {"*"}),
    ],
)
def test_paths_are_those_that_rendering_may_read(source: str, expected: set[str]) -> None:
    assert paths(source) == expected


def test_a_helper_reads_what_it_is_given() -> None:
    engine = Engine({"join": lambda _call, *_params: ""})
    assert paths("{{join user.a k=(join user.b)}}", engine) == {"user.a", "user.b"}
    assert paths("{{#join user.a}}{{b}}{{/join}}", engine) == {"user.a", "b"}
    assert paths("{{join}}", engine) == set()


def test_a_helper_that_reads_the_context_makes_a_template_read_everything() -> None:
    def greet(call: Invocation) -> object:
        return call.member(call.this, "greeting")

    engine = Engine({"greet": ReadsContext(greet)})
    template = engine.compile("{{greet}}")
    assert template.paths == {()}
    assert template.mentions("anything")
    assert template.render({"greeting": "Ciao"}) == "Ciao"


def test_mentions_tells_root_fields_and_says_yes_in_doubt() -> None:
    template = Engine().compile("{{data.x}}")
    assert template.mentions("data")
    assert not template.mentions("user")
    assert Engine().compile("{{#each this}}{{/each}}").mentions("user")


@pytest.mark.slow
def test_partials_that_would_take_forever_to_follow_read_everything() -> None:
    source = "".join(
        f'{{{{#*inline "p{n}"}}}}{{{{#with a{n}}}}}{{{{> p{n + 1}}}}}{{{{/with}}}}'
        f"{{{{#with b{n}}}}}{{{{> p{n + 1}}}}}{{{{/with}}}}{{{{/inline}}}}"
        for n in range(20)
    )
    assert () in Engine().compile(source + "{{> p0}}").paths
