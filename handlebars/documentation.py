"""Writes the tables of docs/templates.md: `python -m messages.templates.documentation`.

The guide's prose stands in that file, and so do the tables, each between two comments:
`<!-- helpers -->` and `<!-- /helpers -->`. With `--check` nothing is written; the exit code tells
whether the tables are current.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import partial
from pathlib import Path

from carillon.handlebars.engine import Engine
from carillon.handlebars.helpers.examples import Examples, Family, read_examples
from carillon.handlebars.helpers.misc import LEFT_OUT_FAMILIES
from carillon.handlebars.limits import Limits

GUIDE = Path(__file__).parents[1] / "docs" / "templates.md"
_LIMITS: Mapping[str, str] = {
    "template_bytes": "bytes of a template",
    "nesting": "blocks in each other; a quarter of it for parentheses",
    "steps": "steps of a render: two an item, four a helper, more for what takes longer",
    "output_bytes": "bytes of the text",
    "partial_depth": "partials that call each other",
    "milliseconds": "milliseconds of processor time of a render",
}


def current(guide: str) -> str:
    """Give the text of the guide with its tables as they have to be."""
    examples = read_examples()
    for name, table in _TABLES.items():
        pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
        guide = pattern.sub(partial(_filled, table(examples)), guide)
    return guide


def _filled(table: str, match: re.Match[str]) -> str:
    return f"{match[1]}\n{table}\n\n{match[2]}"


def output(template: str, examples: Examples) -> str:
    """Render an example."""
    context: dict[str, object] = json.loads(examples.context)
    return Engine().compile(template).render(context)


def _context(examples: Examples) -> str:
    return f"```json\n{examples.context}\n```"


def _syntax(examples: Examples) -> str:
    rows = [
        f"| {says} | {_code(template)} | {_code(output(template, examples))} |"
        for says, template in examples.syntax
    ]
    return "\n".join(["| what | template | text |", "|---|---|---|", *rows])


def _helpers(examples: Examples) -> str:
    return "\n\n".join(_family(family, examples) for family in examples.families)


def _family(family: Family, examples: Examples) -> str:
    rows = [
        f"| {', '.join(f'`{name}`' for name in example.names.split())} | {_cell(example.says)}"
        f" | {_code(example.template)} | {_code(output(example.template, examples))} |"
        for example in family.helpers
    ]
    head = ["| helper | what it does | example | text |", "|---|---|---|---|"]
    return "\n".join([f"### {family.title}\n", *head, *rows])


def _left_out(_examples: Examples) -> str:
    rows = [
        f"| {family} | {', '.join(f'`{name}`' for name in names)} | {reason} |"
        for family, names, reason in LEFT_OUT_FAMILIES
    ]
    return "\n".join(["| family | helpers | why not |", "|---|---|---|", *rows])


def _limits(_examples: Examples) -> str:
    limits = Limits()
    rows = [
        f"| {_LIMITS[field.name]} | {getattr(limits, field.name):,} |" for field in fields(limits)
    ]
    return "\n".join(["| limit | default |", "|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _code(text: str) -> str:
    """Write code that fits a cell of a table: line breaks show as ↵."""
    text = text.replace("\n", "↵").replace("|", "\\|")
    fence = "``" if "`" in text else "`"
    # A space at an end would be taken for padding.
    padded = f" {text} " if text[:1] in {" ", "`"} or text[-1:] in {" ", "`"} else text
    return f"{fence}{padded}{fence}" if text else ""


_TABLES: Mapping[str, Callable[[Examples], str]] = {
    "context": _context,
    "syntax": _syntax,
    "helpers": _helpers,
    "left out": _left_out,
    "limits": _limits,
}


def main() -> int:
    """Write the tables, or check them."""
    found = GUIDE.read_text(encoding="utf-8")
    wanted = current(found)
    if "--check" in sys.argv[1:]:
        return int(found != wanted)
    GUIDE.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
