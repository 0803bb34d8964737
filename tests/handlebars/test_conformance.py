"""The recorded cases of the real Handlebars.js stack, through the public interface."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from carillon.handlebars import Engine, TemplateError, standard_helpers
from carillon.handlebars.helpers.misc import LEFT_OUT
from carillon.handlebars.helpers.moments import moment_helpers

CASES = Path(__file__).parent / "handlebars.jsonl"

#: Cases of helpers that are not offered; each must be an error that says so.
NOT_OFFERED = frozenset(
    {
        *(f"helpers.code-{number:03}" for number in (1, 2)),
    }
)
#: Cases that are known to come out otherwise, and why.
MISSES: dict[str, str] = {}


def read_context(found: dict[str, object]) -> object:
    text = found.get("$date")
    if len(found) == 1 and isinstance(text, str):
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return found
    return found


IN_USE = [
    json.loads(line, object_hook=read_context)
    for line in (CASES.parent / "in_use.jsonl").read_text(encoding="utf-8").split("\n")
    if line
]


@pytest.mark.parametrize("case", IN_USE, ids=lambda case: str(case["id"]))
def test_templates_in_use_render_as_the_reference_does(case: dict[str, object]) -> None:
    engine = Engine(moment_helpers(lambda: datetime(2026, 11, 28, tzinfo=UTC)))
    assert outcome(engine, case) == case.get("expected")


ARGUMENTS = (CASES.parent / "arguments.jsonl").read_text(encoding="utf-8").splitlines()


def test_arguments_too_many_and_too_few_are_taken_as_the_reference_does() -> None:
    engine, wrong = Engine(), {}
    for case in map(json.loads, ARGUMENTS):
        got = outcome(engine, case)
        if got != case.get("expected"):
            wrong[case["template"]] = (got, case.get("expected"))
    assert not wrong
    assert len(ARGUMENTS) == 568


def cases() -> dict[str, list[dict[str, object]]]:
    groups: dict[str, list[dict[str, object]]] = {}
    for line in CASES.read_text(encoding="utf-8").split("\n"):
        if not line:
            continue
        case = json.loads(line, object_hook=read_context)
        groups.setdefault(case["group"], []).append(case)
    return groups


GROUPS = cases()


def outcome(engine: Engine, case: dict[str, object]) -> str | None:
    """The text, or None for an error."""
    try:
        return engine.compile(str(case["template"])).render(case["context"])  # type: ignore[arg-type]
    except TemplateError:
        return None


@pytest.mark.parametrize("group", sorted(GROUPS))
def test_renders_as_the_reference_does(group: str) -> None:
    # These cases alone were recorded with Day.js' plugins.
    engine = Engine(standard_helpers(date_plugins=group == "dateformat.advanced"))
    wrong = {}
    for case in GROUPS[group]:
        if case["id"] in NOT_OFFERED or case["id"] in MISSES:
            continue
        got, expected = outcome(engine, case), case.get("expected")
        if got != expected:
            wrong[case["id"]] = (case["template"], got, expected)
    assert not wrong


def test_what_is_not_offered_says_so() -> None:
    engine = Engine()
    found = {case["id"]: case for group in GROUPS.values() for case in group}
    for name in NOT_OFFERED:
        case = found[name]
        assert any(helper in str(case["template"]) for helper in LEFT_OUT)
        with pytest.raises(TemplateError, match="is not offered: "):
            engine.compile(str(case["template"])).render(case["context"])  # type: ignore[arg-type]


def test_the_cases_are_all_there() -> None:
    assert sum(map(len, GROUPS.values())) == 1285
