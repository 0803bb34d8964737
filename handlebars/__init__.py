"""Handlebars templates that give the text Handlebars.js 4.7 gives, quickly and within limits.

    >>> engine = Engine()
    >>> engine.compile("Hello, {{user.name}}!").render({"user": {"name": "Zoë"}})
    'Hello, Zoë!'

The package needs nothing from the rest of Carillon. Everything public is exported here.
"""

from carillon.handlebars.engine import Engine, Template
from carillon.handlebars.errors import (
    HelperFailed,
    NestingTooDeep,
    OutputTooLarge,
    PartialTooDeep,
    RenderError,
    TakesLong,
    TemplateError,
    TemplateSyntaxError,
    TemplateTooLarge,
    TooManySteps,
    TooMuchTime,
    UnknownHelper,
    UnknownPartial,
)
from carillon.handlebars.helpers import standard_helpers
from carillon.handlebars.limits import Limits
from carillon.handlebars.missing import missing
from carillon.handlebars.pieces import Piece
from carillon.handlebars.runtime.output import Escaping
from carillon.handlebars.runtime.registry import ChangesContext, Helper, Invocation, ReadsContext
from carillon.handlebars.runtime.values import UNDEFINED, SafeText, Undefined

__all__ = [
    "UNDEFINED",
    "ChangesContext",
    "Engine",
    "Escaping",
    "Helper",
    "HelperFailed",
    "Invocation",
    "Limits",
    "NestingTooDeep",
    "OutputTooLarge",
    "PartialTooDeep",
    "Piece",
    "ReadsContext",
    "RenderError",
    "SafeText",
    "TakesLong",
    "Template",
    "TemplateError",
    "TemplateSyntaxError",
    "TemplateTooLarge",
    "TooManySteps",
    "TooMuchTime",
    "Undefined",
    "UnknownHelper",
    "UnknownPartial",
    "missing",
    "standard_helpers",
]
