"""The recorded cases of the real Handlebars.js stack, through the public interface."""

import json
from datetime import datetime
from pathlib import Path

import pytest

from messages.templates import Engine, TemplateError

CASES = Path(__file__).parent / "handlebars.jsonl"

#: How the names of the groups begin whose helpers are not there yet.
WAITING = ("helpers.", "dateformat.", "tolocale.", "realistic.helpers")


def read_context(found: dict[str, object]) -> object:
    text = found.get("$date")
    if len(found) == 1 and isinstance(text, str):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return found
    return found


def cases() -> dict[str, list[dict[str, object]]]:
    groups: dict[str, list[dict[str, object]]] = {}
    for line in CASES.read_text(encoding="utf-8").split("\n"):
        if not line:
            continue
        case = json.loads(line, object_hook=read_context)
        groups.setdefault(case["group"], []).append(case)
    return groups


GROUPS = {group: found for group, found in cases().items() if not group.startswith(WAITING)}


def outcome(engine: Engine, case: dict[str, object]) -> str | None:
    """The text, or None for an error."""
    try:
        return engine.compile(str(case["template"])).render(case["context"])  # type: ignore[arg-type]
    except TemplateError:
        return None


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_renders_as_the_reference_does(group: str) -> None:
    engine = Engine()
    wrong = {}
    for case in GROUPS[group]:
        got, expected = outcome(engine, case), case.get("expected")
        if got != expected:
            wrong[case["id"]] = (case["template"], got, expected)
    assert not wrong


def test_the_cases_are_all_there() -> None:
    assert sum(map(len, GROUPS.values())) >= 488
