"""Handlebars templates that give the text Handlebars.js 4.7 gives, quickly and within limits.

    >>> engine = Engine()
    >>> engine.compile("Hello, {{user.name}}!").render({"user": {"name": "Zoë"}})
    'Hello, Zoë!'

The package needs nothing of the rest of Carillon. Everything public stands here.
"""

from messages.templates.engine import Engine, Template
from messages.templates.errors import (
    HelperFailed,
    NestingTooDeep,
    OutputTooLarge,
    PartialTooDeep,
    RenderError,
    TemplateError,
    TemplateSyntaxError,
    TemplateTooLarge,
    TooManySteps,
    UnknownHelper,
    UnknownPartial,
)
from messages.templates.escape import Escaping
from messages.templates.helpers import standard_helpers
from messages.templates.limits import Limits
from messages.templates.missing import missing
from messages.templates.registry import ChangesContext, Helper, Invocation, ReadsContext
from messages.templates.values import UNDEFINED, SafeText, Undefined

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
    "ReadsContext",
    "RenderError",
    "SafeText",
    "Template",
    "TemplateError",
    "TemplateSyntaxError",
    "TemplateTooLarge",
    "TooManySteps",
    "Undefined",
    "UnknownHelper",
    "UnknownPartial",
    "missing",
    "standard_helpers",
]
