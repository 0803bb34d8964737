"""Compiles paths to look-ups, the short ones specially: most tags of most templates are those."""

from carillon.handlebars.errors import RenderError
from carillon.handlebars.runtime.runtime import Evaluate, Scope
from carillon.handlebars.runtime.values import UNDEFINED, is_true
from carillon.handlebars.syntax.nodes import Path

_SHORT = 2


class BlockParams:
    """The block parameters in reach of the body that is being compiled."""

    __slots__ = ("_bodies", "_places")

    def __init__(self) -> None:
        self._bodies: list[tuple[str, ...]] = []
        self._places: dict[str, list[tuple[int, int]]] = {}

    def enter(self, names: tuple[str, ...]) -> None:
        """Go into a body that declares `names`."""
        self._bodies.append(names)
        for index, name in reversed(list(enumerate(names))):
            self._places.setdefault(name, []).append((len(self._bodies), index))

    def leave(self) -> None:
        """Go out of a body."""
        for name in self._bodies.pop():
            self._places[name].pop()

    def find(self, name: str) -> tuple[int, int] | None:
        """Tell how many bodies out `name` is declared, and as which of its parameters."""
        places = self._places.get(name)
        if not places:
            return None
        depth, index = places[-1]
        return len(self._bodies) - depth, index


def compile_path(path: Path, block_params: BlockParams) -> Evaluate:
    """Make the look-up of a path, with the block parameters in reach of it.

    As in the reference a block parameter wins over a field, and over `@` data, of its name.
    """
    if path.parts and not path.depth and not path.scoped:
        place = block_params.find(path.parts[0])
        if place:
            return _members(_block_param(*place, path), path.parts[1:], path.at)
    if not path.parts or not path.parts[0]:
        # `{{[]}}` too: to the reference an empty name is no name.
        return _context(path.depth)
    if path.is_data:
        return _data(path)
    if path.depth == 1 and len(path.parts) == _SHORT:
        return _two_around(path)
    if path.depth or len(path.parts) > _SHORT:
        return _members(_context(path.depth), path.parts, path.at)
    return _one(path) if len(path.parts) == 1 else _two(path)


def _one(path: Path) -> Evaluate:
    def one(scope: Scope, name: str = path.parts[0], at: int = path.at) -> object:
        value = scope.this
        if isinstance(value, dict):
            return value.get(name, UNDEFINED)
        return scope.run.member(value, name, at)

    return one


def _two(path: Path) -> Evaluate:
    def two(
        scope: Scope, first: str = path.parts[0], second: str = path.parts[1], at: int = path.at
    ) -> object:
        value = scope.this
        if isinstance(value, dict):
            value = value.get(first)
            if isinstance(value, dict):
                return value.get(second, UNDEFINED)
        member = scope.run.member
        return member(member(scope.this, first, at), second, at)

    return two


def _two_around(path: Path) -> Evaluate:
    """Look up `../data.currency`, which loops are full of."""

    def two_around(
        scope: Scope,
        first: str = path.parts[0],
        second: str = path.parts[1],
        slowly: Evaluate = _members(_around, path.parts, path.at),  # noqa: B008 - made once a path
    ) -> object:
        depths = scope.depths
        depths = depths and depths[1]
        value = depths[0] if depths else UNDEFINED
        if type(value) is dict:
            value = value.get(first)
            if type(value) is dict:
                return value.get(second, UNDEFINED)
        return slowly(scope)

    return two_around


def _members(base: Evaluate, names: tuple[str, ...], at: int) -> Evaluate:
    if not names:
        return base

    def members(
        scope: Scope, base: Evaluate = base, names: tuple[str, ...] = names, at: int = at
    ) -> object:
        value = base(scope)
        for name in names:
            if isinstance(value, dict):
                value = value.get(name, UNDEFINED)
            elif value is None or value is UNDEFINED:
                return value
            else:
                value = scope.run.member(value, name, at)
        return value

    return members


def _context(depth: int) -> Evaluate:
    if depth <= 1:
        return _around if depth else _this

    def outer(scope: Scope, depth: int = depth) -> object:
        depths = scope.depths
        for _ in range(depth):
            if depths is None:
                return UNDEFINED
            depths = depths[1]
        return UNDEFINED if depths is None else depths[0]

    return outer


def _this(scope: Scope) -> object:
    return scope.this


def _around(scope: Scope) -> object:
    depths = scope.depths
    depths = depths and depths[1]
    return depths[0] if depths else UNDEFINED


def _data(path: Path) -> Evaluate:
    name, rest, depth, at = path.parts[0], path.parts[1:], path.depth, path.at
    if not rest and not depth:

        def here(scope: Scope, name: str = name) -> object:
            return scope.data.get(name, UNDEFINED)

        return here

    def datum(scope: Scope) -> object:
        data: object = scope.data
        for _ in range(depth):
            data = data.get("_parent", UNDEFINED) if isinstance(data, dict) else UNDEFINED
        value = data.get(name, UNDEFINED) if isinstance(data, dict) else UNDEFINED
        for part in rest:
            if isinstance(value, dict):
                value = value.get(part, UNDEFINED)
            elif is_true(value):
                value = scope.run.member(value, part, at)
            else:
                # The reference stops at any false value: `@key.length` of an empty key is ''.
                return value
        return value

    return datum


def _block_param(level: int, index: int, path: Path) -> Evaluate:
    name, at = path.parts[0], path.at

    def block_param(scope: Scope) -> object:
        params = scope.params
        for _ in range(level):
            params = params[1] if params else None
        values = params[0] if params else None
        if values is None:
            message = f"`{name}` has no value here: the block around it gives no parameters"
            raise RenderError(message, scope.run.source, at)
        return values[index] if index < len(values) else UNDEFINED

    return block_param
