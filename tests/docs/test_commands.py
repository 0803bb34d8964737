"""Every command that README and docs name in a line exists, with the options that it is given."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import click
import pytest

from carillon.cli.main import main
from tests.docs.pages import NAMES, PAGES, spans


def unknown(words: Sequence[str]) -> str | None:
    """What of a command nobody knows; None where all of it is known."""
    command: click.Command = main
    context = click.Context(command)
    rest = [*words]
    while rest and isinstance(command, click.Group) and not rest[0].startswith("-"):
        found = command.get_command(context, rest[0])
        if found is None:
            return rest[0]
        command, context = found, click.Context(found, parent=context)
        del rest[0]
    known = {
        name for one in command.get_params(context) for name in (*one.opts, *one.secondary_opts)
    }
    options = (word.split("=")[0] for word in rest if word.startswith("-"))
    return next((option for option in options if option not in known), None)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_command_that_is_named_exists(page: Path) -> None:
    named = [span for span in spans(page) if span.startswith("carillon ")]
    assert [span for span in named if unknown(shlex.split(span)[1:])] == []


@pytest.mark.parametrize("line", ["frobnicate", "providers frobnicate", "serve --frobnicate"])
def test_what_does_not_exist_is_found(line: str) -> None:
    assert unknown(line.split()) in {"frobnicate", "--frobnicate"}
