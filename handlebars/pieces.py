"""Takes a template apart into literal text and plain tags, for texts that have a structure.

In a URL each value has to be escaped by itself, after it was rendered: what a helper gives is no
exception there, nor what stands in three braces.
"""

from __future__ import annotations

from dataclasses import dataclass

from carillon.handlebars.errors import TemplateSyntaxError
from carillon.handlebars.limits import Limits
from carillon.handlebars.syntax.grammar import parse
from carillon.handlebars.syntax.nodes import Comment, Content, Mustache


@dataclass(frozen=True, slots=True)
class Piece:
    """Literal text, or the source of one tag."""

    text: str
    is_tag: bool


def pieces(source: str, limits: Limits) -> list[Piece]:
    """The template as pieces in their order; comments are left out.

    Raises:
        TemplateSyntaxError: the text is no template, passes a limit, or has more than plain tags: a
            block, a partial or a decorator.
    """
    body = parse(source, limits.nesting, limits.parts(source)).body
    found: list[Piece] = []
    end = len(source)
    for statement in reversed(body):
        if isinstance(statement, Content):
            found.append(Piece(statement.value, is_tag=False))
        elif isinstance(statement, Mustache):
            found.append(Piece(source[statement.at : end], is_tag=True))
        elif not isinstance(statement, Comment):
            message = "only plain tags such as {{to}} can stand here, no blocks or partials"
            raise TemplateSyntaxError(message, source, statement.at)
        end = statement.at
    return found[::-1]
