from __future__ import annotations

import json
import subprocess
import sys

import pytest

from carillon.cli.main import COMMANDS
from tests.cli.command_line import invoke

GROUPS = [
    [name]
    for name in (
        "dispatches",
        "events",
        "users",
        "templates",
        "config",
        "keys",
        "providers",
        "supervisor",
        "store",
    )
]
PAGES = [
    *([name] for name in COMMANDS),
    *(["users", name] for name in ("import", "list")),
    *(["templates", name] for name in ("import", "list")),
    *(["config", name] for name in ("check", "schema")),
    *(["keys", name] for name in ("new", "list", "remove")),
    *(["events", name] for name in ("list", "show", "redrive")),
    *(["store", name] for name in ("backup", "check", "repair", "resume", "pause", "move")),
    *(["supervisor", name] for name in ("show", "revive")),
    *(
        ["providers", name]
        for name in ("list", "show", "set", "pause", "resume", "drain", "close-breaker")
    ),
    *(["providers", name] for name in ("reset", "audit", "watch")),
    *(["dispatches", name] for name in ("list", "show", "watch", "cancel", "redrive")),
]


def test_without_a_command_the_help_is_shown() -> None:
    result = invoke("--help")
    assert result.exit_code == 0
    for name, (_, line) in COMMANDS.items():
        assert name in result.output
        assert line in result.output


@pytest.mark.parametrize("words", PAGES, ids=" ".join)
def test_every_command_explains_itself(words: list[str]) -> None:
    result = invoke(*words, "--help")
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")
    group = words in GROUPS
    assert group or words == ["version"] or "Examples:" in result.output


def test_the_version_is_told_in_three_ways() -> None:
    told = invoke("version").output
    assert told.startswith("carillon ")
    assert invoke("--version").output == told
    assert json.loads(invoke("version", "--json").output)["carillon"] == told.split()[1]


def test_an_unknown_command_is_a_usage_error() -> None:
    result = invoke("frobnicate")
    assert result.exit_code == 2
    assert "No such command 'frobnicate'" in result.stderr


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["dispatchs", "list"], "'dispatches'"),
        (["provider"], "'providers'"),
        (["chek"], None),
        (["store", "chek"], "'check'"),
        (["dispatches", "wach"], "'watch'"),
        (["keys", "delete"], None),
    ],
)
def test_the_nearest_commands_are_named(words: list[str], meant: str | None) -> None:
    result = invoke(*words)
    assert result.exit_code == 2
    assert ("Did you mean" in result.stderr) is (meant is not None)
    assert meant is None or meant in result.stderr


def test_help_imports_no_command() -> None:
    code = (
        "import sys; from carillon.cli.main import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: print(sorted(n for n in sys.modules if n.startswith('carillon.cli.')))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "['carillon.cli.lazy', 'carillon.cli.main']"
