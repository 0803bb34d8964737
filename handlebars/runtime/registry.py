"""How a helper is written, and what it gets when a template calls it.

A helper is a function `(call, *params) -> object`. `call` is an `Invocation`: the hash arguments,
the context, the bodies of the block. What it returns goes on as a value, so numbers stay numbers
for an enclosing call; a tag turns it into text and escapes it, unless it is `SafeText`. Any
exception a helper raises becomes a HelperFailed at the place of the call, with its text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from carillon.handlebars.runtime.runtime import Body, Scope, enter
from carillon.handlebars.runtime.values import is_nothing

Helper: TypeAlias = Callable[..., object]


@dataclass(frozen=True, slots=True)
class ReadsContext:
    """Wraps a helper that reads the context by itself, and not just what it is given.

    Analysis then takes a template that calls it to read everything.
    """

    helper: Helper

    def __call__(self, call: Invocation, *params: object) -> object:
        """Call the helper."""
        return self.helper(call, *params)


@dataclass(frozen=True, slots=True)
class ChangesContext:
    """Wraps a helper that changes lists or objects it is given, as the reference's `sort` does.

    A template that calls it renders from a copy of what it reads, so the caller's data stays.
    """

    helper: Helper

    def __call__(self, call: Invocation, *params: object) -> object:
        """Call the helper."""
        return self.helper(call, *params)


@dataclass(frozen=True, slots=True)
class Site:
    """Where a template calls a helper: under which name, at which offset, with which bodies."""

    name: str
    at: int
    program: Body | None = None
    inverse: Body | None = None


class Invocation:
    """One call of a helper: JavaScript's `options` and `this` in one.

    `hash` has the `key=value` arguments.
    """

    __slots__ = ("_scope", "_site", "hash")

    def __init__(self, site: Site, hash: Mapping[str, object], scope: Scope) -> None:  # noqa: A002
        self._site = site
        self.hash = hash
        self._scope = scope

    @property
    def name(self) -> str:
        """Give the helper's name as the template has it."""
        return self._site.name

    @property
    def this(self) -> object:
        """Give the context of the place of the call, {} where that is null."""
        this = self._scope.this
        return self._scope.run.null if is_nothing(this) else this

    @property
    def is_block(self) -> bool:
        """Tell whether the template calls it as `{{#name}}`."""
        return self._site.program is not None or self._site.inverse is not None

    @property
    def data(self) -> dict[str, object]:
        """Give what `@index` and its like mean at the place of the call. Not to be changed."""
        return self._scope.data

    def fn(
        self,
        context: object,
        data: dict[str, object] | None = None,
        params: tuple[object, ...] | None = None,
    ) -> str:
        """Render the block's body with `context`, own `@` data and block parameters."""
        return self._render(self._site.program, context, data, params)

    def inverse(self, context: object) -> str:
        """Render what follows `{{else}}`."""
        return self._render(self._site.inverse, context, None, None)

    def frame(self, **data: object) -> dict[str, object]:
        """Make `@` data for `fn`: that of the place of the call, and `data` over it."""
        around = self._scope.data
        return {**around, "_parent": around, **data}

    def charge(self, steps: int) -> None:
        """Take steps from the budget: for work beyond a few look-ups, or text made from little.

        Raises:
            TooManySteps: the budget is used up.
        """
        self._scope.run.charge(steps, self._site.at)

    def text(self, value: object) -> str:
        """Give the text a tag would show for `value`, before escaping."""
        return self._scope.run.text(value, self._site.at)

    def key(self, value: object) -> str:
        """Give the member name that `value` means: its text, `null` or `undefined`."""
        return self._scope.run.key(value, self._site.at)

    def member(self, value: object, name: str) -> object:
        """Look up a key, an index or `length`; UNDEFINED where there is none."""
        return self._scope.run.member(value, name, self._site.at)

    def _render(
        self,
        body: Body | None,
        context: object,
        data: dict[str, object] | None,
        params: tuple[object, ...] | None,
    ) -> str:
        if body is None:
            if not self.is_block:
                message = f"it needs a block: `{{{{#{self.name} …}}}}`"
                raise TypeError(message)
            return ""
        scope = self._scope
        scope.run.charge(1, self._site.at)
        return enter(body, scope, context, scope.data if data is None else data, params)
