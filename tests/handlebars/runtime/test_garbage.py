"""What a large template leaves to be looked through when garbage is looked for.

Nobody else has the interpreter while that is done: each object counts.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from carillon.handlebars import Engine, TemplateSyntaxError
from carillon.handlebars.runtime.output import Escaping
from carillon.handlebars.syntax.nodes import Call, Mustache, Path

MANY = 2000
MOST_OBJECTS = 6
"""Of one plain tag: two functions, what each of them holds, and the names of its path."""


@pytest.fixture
def nothing_else() -> Iterator[None]:
    """Nothing of before is found by `gc.get_objects`, and nothing is collected."""
    gc.collect()
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def of_the_tree() -> list[object]:
    return [one for one in gc.get_objects() if isinstance(one, Path | Call | Mustache)]


@pytest.mark.slow
@pytest.mark.parametrize("tag", ["{{user.name}}", "{{a}}", "{{{a}}}"])
@pytest.mark.parametrize("escaping", ["html", "json", "none"])
@pytest.mark.usefixtures("nothing_else")
def test_a_tag_becomes_few_objects(tag: str, escaping: Escaping) -> None:
    engine = Engine()
    template = engine.compile("{{b}}", escaping=escaping)
    before = len(gc.get_objects())
    template = engine.compile(tag * MANY, escaping=escaping)
    assert len(gc.get_objects()) - before < MOST_OBJECTS * MANY
    assert template.source


@pytest.mark.usefixtures("nothing_else")
def test_the_tree_is_gone_once_a_template_is_compiled_and_analysed() -> None:
    template = Engine().compile("{{user.name}}" * MANY)
    assert template.mentions("user")
    assert not of_the_tree()


@pytest.mark.parametrize("end", ["{{", "{{#if a}}", "{{*nothing}}"])
@pytest.mark.usefixtures("nothing_else")
def test_the_tree_is_gone_although_the_error_is_kept(end: str) -> None:
    with pytest.raises(TemplateSyntaxError) as caught:
        Engine().compile("{{user.name}}" * MANY + end)
    assert caught.value.line == 1
    assert not of_the_tree()
