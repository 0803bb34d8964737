"""The errors of the engine, each with the place in the template it speaks of.

TemplateError
├── TemplateSyntaxError   the template can't be compiled
│   ├── TemplateTooLarge  over Limits.template_bytes
│   └── NestingTooDeep    over Limits.nesting
└── RenderError           it compiled, and failed with this context
    ├── UnknownHelper     no helper of that name is registered
    ├── HelperFailed      a helper raised, or was called with the wrong arguments
    ├── UnknownPartial    no inline partial of that name is in reach
    ├── TooManySteps      over Limits.steps
    ├── TooMuchTime       over Limits.milliseconds
    ├── TakesLong         over what a short rendering may take
    ├── OutputTooLarge    over Limits.output_bytes
    └── PartialTooDeep    over Limits.partial_depth, or nested too deeply to go on
"""

_EXCERPT_WIDTH = 96


class TemplateError(Exception):
    """A template failed. Shows as `line 3, column 14: message`, the line, and a caret.

    `message` is the sentence alone; `line` and `column` count from 1, columns in characters;
    `excerpt` is the source line with a caret below it (a long line is cut around the caret).
    """

    def __init__(self, message: str, source: str = "", offset: int = 0) -> None:
        super().__init__(message)
        offset = min(max(offset, 0), len(source))
        start = source.rfind("\n", 0, offset) + 1
        self.message = message
        self.line = source.count("\n", 0, offset) + 1
        self.column = offset - start + 1
        self.excerpt = _excerpt(source, start, offset)

    def __str__(self) -> str:
        place = f"line {self.line}, column {self.column}: {self.message}"
        return f"{place}\n{self.excerpt}" if self.excerpt else place


class TemplateSyntaxError(TemplateError):
    """The text is no template: it can't be compiled."""


class TemplateTooLarge(TemplateSyntaxError):
    """The text is longer than Limits.template_bytes."""


class NestingTooDeep(TemplateSyntaxError):
    """Blocks or subexpressions are nested deeper than Limits.nesting."""


class RenderError(TemplateError):
    """The template compiled, and can't be rendered with this context."""


class UnknownHelper(RenderError):
    """The template calls a helper that is not registered."""


class HelperFailed(RenderError):
    """A helper raised an error, or does not accept its arguments."""


class UnknownPartial(RenderError):
    """The template calls a partial that is not defined where it is called."""


class TooManySteps(RenderError):
    """Rendering took more than Limits.steps."""


class TooMuchTime(RenderError):
    """Rendering took more than Limits.milliseconds."""


class TakesLong(RenderError):
    """Rendering would take longer than the caller of a short rendering can wait."""


class OutputTooLarge(RenderError):
    """The text grew beyond Limits.output_bytes."""


class PartialTooDeep(RenderError):
    """Partials call each other deeper than Limits.partial_depth."""


def _excerpt(source: str, start: int, offset: int) -> str:
    end = source.find("\n", offset)
    end = len(source) if end < 0 else end
    left = max(start, offset - _EXCERPT_WIDTH // 2)
    line = source[left : min(end, left + _EXCERPT_WIDTH)].rstrip("\r")
    # Tabs stay tabs in the second line, so that the caret stands right whatever their width.
    lead = "".join("\t" if char == "\t" else " " for char in source[left:offset])
    return f"{line}\n{lead}^" if line else ""
