"""The engine: compiles templates, keeps the last ones, renders them."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Mapping
from threading import Lock
from types import MappingProxyType

from carillon.handlebars.analysis import analyse
from carillon.handlebars.errors import (
    NestingTooDeep,
    OutputTooLarge,
    PartialTooDeep,
    RenderError,
    TemplateError,
    TemplateSyntaxError,
    TemplateTooLarge,
)
from carillon.handlebars.faults import find_faults
from carillon.handlebars.helpers import standard_helpers
from carillon.handlebars.json_shape import impossible
from carillon.handlebars.limits import Limits
from carillon.handlebars.pieces import Piece, pieces
from carillon.handlebars.runtime.compiler import Compiler
from carillon.handlebars.runtime.copies import private_copy
from carillon.handlebars.runtime.garbage import collecting_nothing
from carillon.handlebars.runtime.output import Escaping
from carillon.handlebars.runtime.registry import Helper
from carillon.handlebars.runtime.runtime import Body, Run, Scope, define_and_emit
from carillon.handlebars.runtime.values import UNDEFINED
from carillon.handlebars.syntax.grammar import parse
from carillon.handlebars.syntax.whitespace import strip_whitespace

_DEFAULT_LIMITS = Limits()
#: Bytes that the cached templates take, about.
_MOST_CACHED = 16_000_000
#: Bytes that a character takes once it is compiled, at most, in a tag: in plain text it takes one.
_COMPILED = 150
_TAG = re.compile(r"\{\{[^}]*+")


def weight_of(source: str) -> int:
    """The bytes that a template takes once it is compiled, about."""
    return len(source) + _COMPILED * sum(map(len, _TAG.findall(source)))


class Template:
    """A compiled template. Made by Engine.compile; renders any number of times, in any thread."""

    __slots__ = ("_body", "_changed", "_helpers", "_limits", "_paths", "source", "weight")

    def __init__(
        self,
        source: str,
        body: Body,
        limits: Limits,
        helpers: Mapping[str, Helper],
        *,
        changed: frozenset[tuple[str, ...]] | None = None,
    ) -> None:
        self.source = source
        #: The bytes that it takes, about.
        self.weight = weight_of(source)
        self._body = body
        self._limits = limits
        self._helpers = helpers
        #: The paths to copy before rendering, of a template that may change its context.
        self._changed = changed
        self._paths = changed

    @property
    def paths(self) -> frozenset[tuple[str, ...]]:
        """The root paths that rendering may read, such as ("user", "name").

        A path stands for all that is beneath it; the empty path () means that it may read anything.
        Found when it is first asked for.
        """
        if self._paths is None:
            with collecting_nothing():
                self._paths = self._analysed()
        return self._paths

    def _analysed(self) -> frozenset[tuple[str, ...]]:
        """The paths; the tree is gone once this has returned."""
        program = parse(self.source, self._limits.nesting, self._limits.parts(self.source))
        return analyse(program, self._helpers)

    @property
    def wanted(self) -> frozenset[tuple[str, ...]]:
        """The root paths that the template names, as `paths`, and () if it may read others too."""
        program = parse(self.source, self._limits.nesting, self._limits.parts(self.source))
        return analyse(program, self._helpers, goes_on=True)

    def mentions(self, name: str) -> bool:
        """Tell whether rendering may read the root field `name`; True when in doubt."""
        return any(not path or path[0] == name for path in self.paths)

    def render(self, context: Mapping[str, object], *, short: bool = False) -> str:
        """Render with `context`: JSON values, and datetimes for JavaScript's dates.

        A `short` render is given up after some milliseconds.

        Raises:
            TakesLong: it was given up.
            RenderError: a helper is unknown or failed, a partial is unknown, a limit was passed.
        """
        root = context if isinstance(context, dict) else _root(context)
        run = Run(self.source, self._limits, short=short)
        body = self._body
        try:
            if self._changed is not None:
                root = private_copy(root, self._changed)
            scope = Scope(root, (root, None), {"root": root}, None, run)
            if not body.inlines:
                return self._checked(body.emit(scope))
            outside = Scope(UNDEFINED, None, scope.data, None, run)
            return self._checked(define_and_emit(body, outside, scope))
        except RecursionError:
            message = "partials, blocks and calls are nested too deeply to go on"
        raise PartialTooDeep(message, self.source)

    def _checked(self, text: str) -> str:
        """Join surrogate halves, replace lone ones, and count bytes; most text needs none of it."""
        if text.isascii():
            return text
        try:
            size = len(text.encode())
        except UnicodeEncodeError:
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
            size = len(text.encode())
        if size > self._limits.output_bytes:
            limit = f"{self._limits.output_bytes:,}"
            message = f"this template makes more than {limit} bytes of text with this context"
            raise OutputTooLarge(message, self.source)
        return text


def _root(context: object) -> object:
    """Make a dict of other mappings; a root that is no object is taken as the reference does."""
    return dict(context) if isinstance(context, Mapping) else context


class Engine:
    """Compiles templates with the standard helpers and limits, and keeps the last `cache_size`.

    `helpers` come on top of the standard ones. `locale` is what `toLocale` writes in where a
    template names none.
    """

    def __init__(
        self,
        helpers: Mapping[str, Helper] | None = None,
        limits: Limits = _DEFAULT_LIMITS,
        cache_size: int = 512,
        *,
        locale: str = "en-US",
    ) -> None:
        self._helpers = MappingProxyType(standard_helpers(locale) | dict(helpers or {}))
        self._limits = limits
        self._cache_size = cache_size
        self._cache: OrderedDict[tuple[str, Escaping], Template] = OrderedDict()
        self._cached_weight = 0
        # The cache alone is guarded; compiling the same text twice at once does no harm.
        self._lock = Lock()

    def compile(self, source: str, *, escaping: Escaping = "html") -> Template:
        """Compile `source`, or find it compiled.

        A `{{tag}}` is escaped as Handlebars.js does it for HTML, as the inside of a JSON string,
        or not at all.

        Raises:
            TemplateSyntaxError: the text is no template, or passes a limit.
        """
        if (found := self.find(source, escaping=escaping)) is not None:
            return found
        template = self._compiled(source, escaping)
        with self._lock:
            self._remember((source, escaping), template)
        return template

    def faults(self, source: str, *, escaping: Escaping = "html") -> list[TemplateError]:
        """What is wrong with a template that compiles, whatever it is rendered with.

        One that is escaped as JSON is to become a JSON object.

        Raises:
            TemplateSyntaxError: it does not compile.
        """
        self._compiled(source, escaping)
        program = parse(source, self._limits.nesting, self._limits.parts(source))
        strip_whitespace(program)
        faults = find_faults(program, self._helpers, source)
        if escaping == "json" and (found := impossible(program, self._helpers)):
            faults.append(RenderError(found.message, source, found.at))
        return faults

    def pieces(self, source: str) -> list[Piece]:
        """Take a template apart into literal text and plain tags.

        Raises:
            TemplateSyntaxError: it does not compile, or has more than plain tags.
        """
        self._compiled(source, "none")
        return pieces(source, self._limits)

    def find(self, source: str, *, escaping: Escaping = "html") -> Template | None:
        """Give `source` compiled if it was compiled lately."""
        key = (source, escaping)
        with self._lock:
            found = self._cache.get(key)
            if found is not None:
                self._cache.move_to_end(key)
        return found

    def _remember(self, key: tuple[str, Escaping], template: Template) -> None:
        if key not in self._cache:
            self._cached_weight += template.weight
        self._cache[key] = template
        while self._cache and (
            len(self._cache) > self._cache_size or self._cached_weight > _MOST_CACHED
        ):
            _, oldest = self._cache.popitem(last=False)
            self._cached_weight -= oldest.weight

    def _compiled(self, source: str, escaping: Escaping) -> Template:
        limit = self._limits.template_bytes
        if len(source) > limit or len(source.encode("utf-8", "surrogatepass")) > limit:
            message = f"this template is longer than {limit:,} bytes"
            raise TemplateTooLarge(message, source[:limit])
        with collecting_nothing():
            try:
                return self._made(source, escaping)
            except TemplateSyntaxError as error:
                raise error.with_traceback(None) from None  # the frames within hold the tree
            except RecursionError:
                message = "blocks and calls are nested too deeply"
            raise NestingTooDeep(message, source)

    def _made(self, source: str, escaping: Escaping) -> Template:
        """A new template; the tree is gone before anybody looks for garbage in it."""
        program = parse(source, self._limits.nesting, self._limits.parts(source))
        strip_whitespace(program)
        compiler = Compiler(source, self._helpers, escaping)
        body = compiler.body(program)
        changed = analyse(program, self._helpers) if compiler.changes else None
        return Template(source, body, self._limits, self._helpers, changed=changed)
