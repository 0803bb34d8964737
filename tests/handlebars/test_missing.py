"""Which values a template wants and a context lacks."""

import pytest

from carillon.handlebars import Engine, missing

CONTEXT: dict[str, object] = {
    "user": {"name": "x", "nick": None},
    "data": {"items": [{"price": 1}, {"name": "a"}], "list": ["b", "a"]},
}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("{{user.name}} {{#each data.items}}{{@index}}{{/each}}", []),
        ("{{user.nick}}{{data.x}}{{user.nick}}", ["user.nick", "data.x"]),
        ("{{user.home.city}} {{user.home.zip}}", ["user.home.city", "user.home.zip"]),
        (
            "{{#each data.items}}{{name}}{{price}}{{/each}}",
            ["data.items.0.name", "data.items.1.price"],
        ),
        ("{{#if user.vip}}{{data.gift}}{{/if}}", ["user.vip"]),
        ("{{#with user}}{{age}}{{../data.y}}{{/with}}", ["user.age", "data.y"]),
        ("{{isEmpty data.z}}{{user.after}}", ["data.z"]),
        ("{{sort data.list}}{{data.w}}", ["data.w"]),
        ('{{#*inline "p"}}{{greeting}}{{age}}{{/inline}}{{> p user greeting="x"}}', ["user.age"]),
        ('{{default user.first_name user.name}}', ["user.first_name"]),
        ("{{nobody}}", ["nobody"]),
    ],
)  # fmt: skip
def test_values_that_are_asked_for_in_vain_are_listed(source: str, expected: list[str]) -> None:
    assert missing(Engine().compile(source), CONTEXT) == expected
