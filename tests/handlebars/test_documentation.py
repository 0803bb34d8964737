"""The guide of template authors is current and complete."""

import pytest

from carillon.handlebars import standard_helpers
from carillon.handlebars.documentation import GUIDE, current, output
from carillon.handlebars.helpers.examples import Example, read_examples
from carillon.handlebars.helpers.misc import LEFT_OUT

EXAMPLES = read_examples()
INNER = {"helperMissing", "blockHelperMissing"}
SHOWN = [example for family in EXAMPLES.families for example in family.helpers]


def test_the_tables_of_the_guide_are_current() -> None:
    guide = GUIDE.read_text(encoding="utf-8")
    assert current(guide) == guide, "run `python -m messages.templates.documentation`"


def test_every_helper_has_an_example_that_calls_it() -> None:
    names = [name for example in SHOWN for name in example.names.split()]
    assert sorted(names) == sorted(set(standard_helpers()) - INNER)
    for example in SHOWN:
        assert any(name in example.template for name in example.names.split())


def test_every_helper_that_is_left_out_stands_in_the_guide() -> None:
    guide = GUIDE.read_text(encoding="utf-8").partition("## Helpers that are not offered")[2]
    assert all(f"`{name}`" in guide for name in LEFT_OUT)


@pytest.mark.parametrize("example", SHOWN, ids=lambda example: example.names.split()[0])
def test_helpers_that_share_an_example_do_the_same(example: Example) -> None:
    names = example.names.split()
    used = next(name for name in names if name in example.template)
    texts = {output(example.template.replace(used, name), EXAMPLES) for name in names}
    assert len(texts) == 1
