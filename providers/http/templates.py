"""The templates of an `http` section: what they may name, and what is wrong with them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final, TypeAlias, TypeVar

from carillon.handlebars import Engine, Escaping, TakesLong, Template, TemplateError
from carillon.messages.json_keys import Place
from carillon.messages.model import JsonValue
from carillon.providers.config import Fault

VARIABLES: Final = (
    "to",
    "sender",
    "text",
    "title",
    "html",
    "deliveryId",
    "dispatchId",
    "user",
    "data",
    "secret",
)
_OF_REQUESTS: Final = frozenset({"user", "data"})
_SECRET: Final = "secret"  # noqa: S105 - the name of a variable
Context = Mapping[str, object]
Paths = frozenset[tuple[str, ...]]
T = TypeVar("T")


class Unfit(Exception):
    """A delivery of which no request can be made; the message says why, without its values."""


class Text:
    """A text with tags, compiled; or one that is the same for every delivery."""

    __slots__ = ("_fixed", "_template", "paths")

    def __init__(self, engine: Engine, source: str, escaping: Escaping = "none") -> None:
        """Raises TemplateError."""
        self._template: Template | None = None
        self._fixed: str | None = source
        self.paths: Paths = frozenset()
        if "{{" in source:
            self._template = template = engine.compile(source, escaping=escaping)
            self._fixed = None
            self.paths = template.paths

    def fix(self, secrets: Mapping[str, str]) -> None:
        """Render it once and for all if it names nothing but secrets. Raises Unfit."""
        if self._template is not None and all(path[:1] == (_SECRET,) for path in self.paths):
            self._fixed = self.rendered({_SECRET: secrets}, short=False)

    @property
    def _names_secrets(self) -> bool:
        """Whether what is said of a failure may show a secret, or a part of one."""
        return any(path[:1] in {(), (_SECRET,)} for path in self.paths)

    @property
    def fixed(self) -> str | None:
        """What it is for every delivery, if that is known."""
        return self._fixed

    def rendered(self, context: Context, *, short: bool) -> str:
        """The text for one delivery.

        Raises:
            TakesLong: it should be `short`, and is not.
            Unfit: it cannot be rendered.
        """
        if self._fixed is not None or self._template is None:
            return self._fixed or ""
        try:
            return self._template.render(context, short=short)
        except TakesLong:
            raise
        except TemplateError as error:
            why = "" if self._names_secrets else f": {error.message}"
            raise Unfit(f"its request cannot be rendered{why}") from None


Tree: TypeAlias = "Text | bool | int | float | list[Tree] | dict[str, Tree] | None"
"""A JSON value with templates in the place of texts."""


class Compiler:
    """Compiles the templates of a section and keeps what is wrong with them, by their places."""

    def __init__(self, engine: Engine, secrets: frozenset[str]) -> None:
        self._engine = engine
        self._secrets = secrets
        self.faults: list[Fault] = []
        self.texts: list[Text] = []

    @property
    def paths(self) -> Paths:
        """What all of them may read of a request."""
        return frozenset(
            path for text in self.texts for path in text.paths if path[:1] in _READ_OF_REQUESTS
        )

    @property
    def names(self) -> frozenset[str]:
        """The variables that they name; all if one may read anything."""
        read = {path[0] if path else "" for text in self.texts for path in text.paths}
        return frozenset(VARIABLES if "" in read else read)

    def text(self, source: str, place: Place, escaping: Escaping = "none") -> Text:
        """A template that stands at this place."""
        made = self._trying(lambda: Text(self._engine, source, escaping), place)
        if made is None:
            return Text(self._engine, "")
        self.faults += ((place, why) for why in self._why_not(source, escaping, made.paths))
        self.texts.append(made)
        return made

    def pieces(self, source: str, place: Place) -> list[str | Text]:
        """Literal text, and the tags between it one by one."""
        found = self._trying(lambda: self._engine.pieces(source), place) or []
        return [self.text(one.text, place) if one.is_tag else one.text for one in found]

    def json(self, value: JsonValue, place: Place) -> Tree:
        """A JSON value whose texts are templates; keys are no templates."""
        if isinstance(value, str):
            return self.text(value, place)
        if isinstance(value, list):
            return [self.json(one, (*place, at)) for at, one in enumerate(value)]
        if isinstance(value, dict):
            return {key: self.json(one, (*place, key)) for key, one in value.items()}
        return value

    def _trying(self, make: Callable[[], T], place: Place) -> T | None:
        try:
            return make()
        except TemplateError as error:
            self.faults.append((place, _told(error)))
        return None

    def _why_not(self, source: str, escaping: Escaping, paths: Paths) -> Iterator[str]:
        if "{{" in source:
            # Of a JSON text that it becomes an object is not asked: it may be a list.
            asked: Escaping = "none" if escaping == "json" else escaping
            yield from map(_told, self._engine.faults(source, escaping=asked))
        for path in sorted(filter(None, paths)):
            if path[0] not in VARIABLES:
                yield f'"{path[0]}" is no variable; known here: {", ".join(VARIABLES)}'
            elif path == (_SECRET,):
                yield "a secret must be named, as in secret.NAME"
            elif path[0] == _SECRET and path[1] not in self._secrets:
                yield f'secret.{path[1]}: "{path[1]}" is not listed in secrets'


_READ_OF_REQUESTS: Final = ((), *((name,) for name in sorted(_OF_REQUESTS)))


def filled(tree: Tree, render: Callable[[Text], str]) -> JsonValue:
    """The JSON value that a tree becomes."""
    if isinstance(tree, Text):
        return render(tree)
    if isinstance(tree, list):
        return [filled(one, render) for one in tree]
    if isinstance(tree, dict):
        return {key: filled(one, render) for key, one in tree.items()}
    return tree


def _told(error: TemplateError) -> str:
    """Where in the template, and what; never the template itself, which may hold a secret."""
    line = f"line {error.line}, " if error.line > 1 else ""
    return f"{line}column {error.column}: {error.message}"
