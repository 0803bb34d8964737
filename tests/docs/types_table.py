"""The tables of `docs/configuration.md` about types of providers, as the registry has them.

`python -m tests.docs.types_table` writes them into the page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain

from carillon.messages.model import CHANNELS
from carillon.providers.description import KeyDescription, TypeDescription, description
from carillon.providers.registry import TYPES
from tests.docs.pages import ROOT

PAGE = ROOT / "docs" / "configuration.md"
DESCRIBED = [description(kind) for kind in TYPES.values()]


def table(header: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """Markdown; the cells of a row on one line."""
    bars = ["| " + " | ".join(line) + " |" for line in (header, *rows)]
    return "\n".join([bars[0], "|---" * len(header) + "|", *bars[1:]])


def code(texts: Sequence[str]) -> str:
    return ", ".join(f"`{text}`" for text in texts)


def types() -> str:
    """What each type carries, and what configures it."""
    header = ["type", "calls", "carries", "configured by", "`onUnknownOutcome`", "documented limit"]
    return table(header, (type_row(one) for one in DESCRIBED))


def type_row(one: TypeDescription) -> Sequence[str]:
    rate = one.documented
    marked = [f"{each}*" if each in one.only_named else each for each in one.channels]
    carries = "every channel" if [*one.channels] == [*CHANNELS] else ", ".join(marked)
    limit = "" if rate is None else f"{rate.limit:,} in `{rate.per}`"
    outcome = f"`{one.on_unknown_outcome}`"
    return [f"`{one.name}`", one.title, carries, configured_by(one), outcome, limit]


def configured_by(one: TypeDescription) -> str:
    ways = [
        " or ".join([*filter(None, [code(key.variables)]), f"`{key.path}`"])
        for key in one.keys
        if key.needed
    ]
    ways += [code([name]) for name in one.surroundings]
    return "; ".join(ways) or "only when `channels.<channel>.providers` names it"


def keys() -> str:
    """The keys that only some types have, each once."""
    paths = dict.fromkeys(key.path for one in DESCRIBED for key in one.keys)
    return table(["key", "default", "meaning"], (key_row(path) for path in paths))


def key_row(path: str) -> Sequence[str]:
    having = {one.name: key for one in DESCRIBED for key in one.keys if key.path == path}
    return [
        f"`providers.<name>.{path}`",
        said(having, default_of),
        said(having, lambda key: key.meaning[:1].lower() + key.meaning[1:].rstrip(".")),
    ]


def default_of(key: KeyDescription) -> str:
    if key.variables:
        return code(key.variables)
    if key.default is None:
        return "required" if key.required else "none"
    return f"`{key.default}`"


def said(having: Mapping[str, KeyDescription], say: Callable[[KeyDescription], str]) -> str:
    """What is said of a key by types, those that say the same together."""
    by_text: dict[str, list[str]] = {}
    for name, key in having.items():
        by_text.setdefault(say(key), []).append(name)
    return "; ".join(f"{', '.join(names)}: {text}" for text, names in by_text.items())


def variables() -> str:
    """The variables that only types of providers read."""
    every = chain.from_iterable([(one.name, each) for each in one.variables] for one in DESCRIBED)
    rows = (
        [f"`{each.name}`{'' if each.activates else '*'}", name, each.meaning]
        for name, each in every
    )
    return table(["variable", "type", "meaning"], rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "types": types,
    "keys of types": keys,
    "variables of types": variables,
}


def filled(page: str) -> str:
    """The page with each table between its two marks."""
    for name, make in TABLES.items():
        begin, end = f"<!-- {name} -->\n", f"\n<!-- end of {name} -->"
        before, _, rest = page.partition(begin)
        _, _, after = rest.partition(end)
        page = f"{before}{begin}{make()}{end}{after}"
    return page


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text("utf-8")), "utf-8")
