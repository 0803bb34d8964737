"""A private copy of the part of a context that a template reads, for templates that change it.

The reference's `sort`, `merge` and their like change the context for what follows in the template.
The caller's data must stay as it is, for many renders share it; so such a template works on a copy
of the lists and objects on its paths and beneath. All the rest is shared.
"""

from collections.abc import Iterable


def private_copy(root: object, paths: Iterable[tuple[str, ...]]) -> object:
    """Copy what `paths` lead to, and the objects on the way there."""
    paths = tuple(paths)
    if () in paths or not isinstance(root, dict):
        return _deep(root, {})
    copied = root.copy()
    on_the_way: dict[int, dict[str, object]] = {}
    below: dict[int, object] = {}
    for path in paths:
        _copy_path(copied, path, on_the_way, below)
    return copied


def _copy_path(
    node: dict[str, object],
    path: tuple[str, ...],
    on_the_way: dict[int, dict[str, object]],
    below: dict[int, object],
) -> None:
    for name in path[:-1]:
        inner = node.get(name)
        if not isinstance(inner, dict):
            break
        if id(inner) not in on_the_way:
            copied = inner.copy()
            # A copy stands for itself too: the next path comes by it and not by the original.
            on_the_way[id(inner)] = on_the_way[id(copied)] = copied
        node[name] = node = on_the_way[id(inner)]
    else:
        name = path[-1]
    if name in node:
        node[name] = _deep(node[name], below)


def _deep(value: object, copies: dict[int, object]) -> object:
    if not isinstance(value, dict | list):
        return value
    found = copies.get(id(value))
    if found is not None:
        return found
    if isinstance(value, list):
        items: list[object] = []
        copies[id(value)] = items
        items.extend(_deep(item, copies) for item in value)
        return items
    copied = value.copy()
    copies[id(value)] = copied
    for key, item in value.items():
        if isinstance(item, dict | list):
            copied[key] = _deep(item, copies)
    return copied
