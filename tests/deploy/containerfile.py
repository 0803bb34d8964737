"""A Containerfile, taken apart: its stages, and their instructions in order."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.docs.pages import ROOT

CONTAINERFILE: Final = ROOT / "Containerfile"


@dataclass(frozen=True, slots=True)
class Instruction:
    """One line, with those that it goes on in: `RUN`, and what follows it."""

    name: str
    rest: str


@dataclass(slots=True)
class Stage:
    """What stands between one `FROM` and the next."""

    base: str
    name: str
    instructions: list[Instruction] = field(default_factory=list)

    def last(self, name: str) -> str:
        """What follows the last instruction of a name."""
        return [one.rest for one in self.instructions if one.name == name][-1]

    @property
    def environ(self) -> dict[str, str]:
        """All that `ENV` sets."""
        lines = [one.rest for one in self.instructions if one.name == "ENV"]
        return dict(pair.split("=", 1) for line in lines for pair in shlex.split(line))

    @property
    def command(self) -> list[str]:
        """What `CMD` runs."""
        return _words(self.last("CMD"))

    @property
    def health_check(self) -> list[str]:
        """What `HEALTHCHECK` runs."""
        return _words(self.last("HEALTHCHECK").split("CMD", 1)[1])


def stages(file: Path = CONTAINERFILE) -> Sequence[Stage]:
    """All of them, in order."""
    found: list[Stage] = []
    for one in instructions(file):
        if one.name == "FROM":
            base, *name = one.rest.split(" AS ")
            found.append(Stage(base, "".join(name)))
        else:
            found[-1].instructions.append(one)
    return found


def instructions(file: Path = CONTAINERFILE) -> Iterator[Instruction]:
    """Each, without comments; a line that ends with a backslash goes on in the next."""
    lines = [line for line in file.read_text("utf-8").splitlines() if not line.startswith("#")]
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        if line.strip():
            name, rest = line.split(maxsplit=1)
            yield Instruction(name, " ".join(rest.split()) if name != "HEALTHCHECK" else rest)


def _words(text: str) -> list[str]:
    words = json.loads(text)
    assert isinstance(words, list)
    return [str(word) for word in words]
