"""`carillon render` and `carillon templates check`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from carillon.cli.main import COMMANDS
from carillon.cli.main import main as carillon
from carillon.messages.model import Document
from tests.handlebars.test_conformance import CASES, NOT_OFFERED

CONTEXT = {"user": {"name": "D'Angelo"}, "data": {"at": {"$date": "2026-03-01T10:00:00Z"}}}


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(carillon, list(arguments), input=stdin)


@pytest.fixture
def context(tmp_path: Path) -> str:
    file = tmp_path / "context.json"
    file.write_text(json.dumps(CONTEXT))
    return str(file)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ([], r"D&#x27;Angelo\n"),
        (["--channel", "email"], "D&#x27;Angelo<br/>"),
        (["--channel", "sms"], r"D'Angelo\n"),
        (["--channel", "push"], r"D'Angelo\n"),
    ],
)
def test_a_text_is_escaped_for_its_channel(options: list[str], text: str, context: str) -> None:
    result = run("render", "-", context, *options, stdin=r"{{user.name}}\n")
    assert (result.exit_code, result.output) == (0, text)


@pytest.mark.parametrize(
    ("template", "sms"),
    [
        ("{{user.name}} €", {"alphabet": "gsm", "units": 11, "parts": 1}),
        ("{{user.name}} 🚢", {"alphabet": "ucs-2", "units": 11, "parts": 1}),
        ("x" * 161, {"alphabet": "gsm", "units": 161, "parts": 2}),
    ],
)
def test_an_sms_is_told_with_its_parts(template: str, sms: Document, context: str) -> None:
    result = run("render", "-", context, "--channel", "sms", "--json", stdin=template)
    told = json.loads(result.output)
    assert told == {"output": template.replace("{{user.name}}", "D'Angelo"), "sms": sms}
    other = run("render", "-", context, "--channel", "push", "--json", stdin=template)
    assert json.loads(other.output).keys() == {"output"}


def test_dates_and_locales_are_understood(context: str) -> None:
    template = '{{dateFormat data.at format="DD/MM/YYYY"}} {{toLocale 12345.5}}'
    result = run("render", "-", context, "--locale", "it-IT", stdin=template)
    assert result.output == "01/03/2026 12.345,5"


def test_missing_values_are_listed(context: str) -> None:
    template = "{{user.name}} {{user.city}} {{data.order.id}}"
    result = run("render", "-", context, "--missing", "--json", stdin=template)
    assert result.exit_code == 1
    assert json.loads(result.output) == {"missing": ["user.city", "data.order.id"]}


def test_an_error_shows_its_place(context: str) -> None:
    result = run("render", "-", context, stdin="fine\n{{#if user}}")
    assert result.exit_code == 1
    assert "line 2, column 1" in result.stderr
    assert "^" in result.stderr


@pytest.mark.parametrize("text", ["[]", "{", '{"a": NaN}'])
def test_a_bad_context_is_told(text: str, tmp_path: Path) -> None:
    file = tmp_path / "context.json"
    file.write_text(text)
    result = run("render", "-", str(file), stdin="x")
    assert result.exit_code == 2
    assert str(file) in result.stderr


def test_what_is_not_there_is_told() -> None:
    assert run("render", "nowhere.hbs").exit_code == 2
    assert run("render", "-", "-", stdin="x").exit_code == 2
    assert run("render", "-", "--locale", "not a locale", stdin="x").exit_code == 2


def test_lines_are_answered_in_order_and_bad_ones_too() -> None:
    lines = ['{"id": 1, "template": "{{a}}", "context": {"a": "é"}}', "no json", '{"template": 1}']
    result = run("render", "--jsonl", stdin="\n".join([*lines, '{"id": 2, "template": "{{#a}}"}']))
    first, second, third, fourth = map(json.loads, result.output.splitlines())
    assert first == {"id": 1, "output": "é"}
    assert "line 2" in second["error"]
    assert "line 3" in third["error"]
    assert (fourth["id"], "never closed" in fourth["error"]) == (2, True)


@pytest.mark.parametrize("plugins", [False, True])
def test_the_recorded_cases_render_the_same(plugins: bool) -> None:  # noqa: FBT001
    cases = [json.loads(line) for line in CASES.read_text("utf-8").split("\n") if line]
    chosen = [one for one in cases if (one["group"] == "dateformat.advanced") is plugins]
    stdin = "".join(json.dumps(one) + "\n" for one in chosen)
    result = run("render", "--jsonl", *(["--date-plugins"] if plugins else []), stdin=stdin)
    answers = [json.loads(line) for line in result.output.split("\n") if line]
    assert [one["id"] for one in answers] == [one["id"] for one in chosen]
    wrong = [
        case["id"]
        for case, answer in zip(chosen, answers, strict=True)
        if answer.get("output") != case.get("expected") and case["id"] not in NOT_OFFERED
    ]
    assert wrong == []


def test_all_that_is_wrong_with_templates_is_told_at_once(tmp_path: Path) -> None:
    lines = tmp_path / "templates.jsonl"
    lines.write_text(
        '{"_id": "a", "smsMessage": "{{#if}}", "emailTitle": 5}\n{"smsMessage": "ok"}\n'
    )
    array = tmp_path / "exported.json"
    array.write_text('[{"_id": "b", "pushData": "{{"}]')
    result = run("templates", "check", str(lines), str(array))
    assert result.exit_code == 1
    assert f"{lines}:1 (a): smsMessage, 1:1" in result.output
    assert f"{lines}:1 (a): emailTitle must be a text" in result.output
    assert f"{array}, item 1 (b): pushData" in result.output
    assert "3 templates checked, 3 problems" in result.output


def test_templates_come_in_every_shape_that_an_import_takes(tmp_path: Path) -> None:
    documents = [{"_id": "a", "smsMessage": "{{user.x}}"}, {"_id": "b", "voiceMessage": "x"}]
    shapes = {
        "lines": "\n".join(map(json.dumps, documents)),
        "a list": json.dumps(documents),
        "a list that is pretty": "\ufeff" + json.dumps(documents, indent=2),
        "documents that are pretty": "\n".join(json.dumps(one, indent=2) for one in documents),
    }
    for name, content in shapes.items():
        file = tmp_path / name
        file.write_text(content, "utf-8")
        for result in (
            run("templates", "check", str(file)),
            run("templates", "check", "-", stdin=content),
        ):
            assert result.exit_code == 0, name
            assert result.output.endswith("(a) wants user.x\n2 templates checked, no problems\n")
        store = str(tmp_path / f"{name}.db")
        assert run("templates", "import", str(file), "--store", store).exit_code == 0


BAD = [
    ('{"_id": "a"}\n{"_id": "a"}', ":2 (a): _id 'a' is that of line 1 already"),
    ('{"_id": 5, "smsMesage": ""}', ":1 (5): there is no field `smsMesage`; did you mean"),
    ('{\n "emailMessage": "x"\n}', ":1: emailTitle is missing"),
    ('[{},\n{"_id": "p", "pushData": "{"}]', ", item 2 (p): pushData, 1:"),
    ('\n{"smsMessage": "\\n {{foo 1}}"}', ":2: smsMessage, 2:4: there is no helper `foo`"),
    ('{"smsMessage": "{{dateFormat a tz=\'Rome\'}}"}', ":1: smsMessage, 1:19: the helper `dateFo"),
    ('{"_id": [1]}\n{"smsMessage": "{{#if}}"}', ": line 1: _id must be"),
    ('{"__STATE__": "PUBLISHED"}', ": line 1: __STATE__ must be one of"),
]


@pytest.mark.parametrize(("content", "said"), BAD)
def test_check_tells_what_import_refuses(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "t.json"
    file.write_text(content)
    checked = run("templates", "check", str(file))
    assert (checked.exit_code, f"{file}{said}" in checked.output) == (1, True), checked.output
    refused = run("templates", "import", str(file), "--store", str(tmp_path / "s.db"))
    reason = said.partition(": ")[2].removeprefix("line 1: ")
    assert (refused.exit_code, reason in refused.stderr) == (2, True), refused.stderr


def test_a_bad_line_does_not_hide_the_next(tmp_path: Path) -> None:
    file = tmp_path / "t.jsonl"
    file.write_text('{"_id": [1]}\n{"smsMessage": "{{#if}}"}\nno JSON\n{"_id": "x", "a": 1}\n')
    output = run("templates", "check", str(file)).output.splitlines()
    assert [line.removeprefix(str(file))[:8] for line in output[:4]] == [
        ": line 1", ":2: smsM", ": line 3", ":4 (x): ",
    ]  # fmt: skip
    assert output[4] == "2 templates checked, 4 problems"


def test_good_templates_are_good(tmp_path: Path) -> None:
    file = tmp_path / "templates.jsonl"
    file.write_text('{"_id": "a", "smsMessage": "Hi {{user.name}}"}\n')
    result = run("templates", "check", str(file), "--json")
    assert result.exit_code == 0
    assert json.loads(result.output) == {
        "checked": 1,
        "problems": [],
        "templates": [{"template": f"{file}:1 (a)", "wants": ["user.name"]}],
    }


def test_the_command_is_listed() -> None:
    assert "render" in COMMANDS
